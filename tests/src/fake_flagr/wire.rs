//! A connection, encrypted or not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

/// The longest head of a request.
const LONGEST_HEAD: usize = 64 << 10;

/// A connection, encrypted or not.
pub(super) struct Wire<'a> {
    stream: &'a TcpStream,
    tls: Option<ServerConnection>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: &'a TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let tls = tls.map(ServerConnection::new).transpose();
        let tls = tls.map_err(io::Error::other)?;
        Ok(Self { stream, tls })
    }

    /// The head of the next request but its last byte, which is left unread;
    /// `None` when the client closed the connection.
    pub(super) fn head(&mut self) -> io::Result<Option<String>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r") {
            if self.read(&mut byte)? == 0 || head.len() == LONGEST_HEAD {
                return Ok(None);
            }
            head.extend(byte);
            if !head.starts_with(b"G") {
                // As a server says it whom somebody asks in another protocol.
                self.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?;
                return Ok(None);
            }
        }
        head.push(b'\n');
        Ok(Some(String::from_utf8_lossy(&head).into_owned()))
    }

    /// Says that nothing more comes.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            self.flush()?;
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// Waits until the client closes the connection.
    pub(super) fn until_closed(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    /// Whether the client closes the connection within this time.
    pub(super) fn is_closed_within(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(time))?;
        match self.read(&mut [0]) {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(buffer),
            None => self.stream.read(buffer),
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).write(bytes),
            None => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).flush(),
            None => self.stream.flush(),
        }
    }
}
