//! An address that connections are never made to.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

/// Listens and accepts nothing, with a queue that is full: whoever connects
/// waits.
pub(crate) struct Blackhole {
    _queue: Vec<TcpStream>,
    _listener: TcpListener,
    _runtime: Runtime,
}

impl Blackhole {
    pub(crate) fn at(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            socket.listen(1).unwrap()
        });
        let mut queue = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
            assert!(queue.len() < 100, "the queue does not fill");
            queue.push(stream);
        }
        Self {
            _queue: queue,
            _listener: listener,
            _runtime: runtime,
        }
    }
}
