//! Answers, good and bad.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::wire::Wire;

/// An answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    fault: Option<Fault>,
    last: bool,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// So many bytes of the body, then the end.
    CutAfter(usize),
    /// So many bytes of the body, then nothing until the client gives up.
    StallAfter(usize),
    /// So many bytes of the body, then the connection is reset.
    ResetAfter(usize),
    /// A byte of the body each second.
    Trickle,
    /// The request is read, and nothing is said until the client gives up.
    Silence,
    /// The connection is reset once a request comes.
    Reset,
    /// The body without a head.
    Garbage,
}

impl Answer {
    /// This status, with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            fault: None,
            last: false,
        }
    }

    /// Status 200 with this body, as JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200)
            .header("Content-Type", "application/json")
            .body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Changes the body.
    #[must_use]
    pub fn map_body(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Self {
        self.body = change(self.body);
        self
    }

    /// Leaves only the first half of the body, as if that were all.
    #[must_use]
    pub fn half(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// Compresses the body.
    ///
    /// # Errors
    ///
    /// None for a body in memory.
    pub fn gzip(mut self) -> io::Result<Self> {
        let level = flate2::Compression::default();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(&self.body)?;
        self.body = encoder.finish()?;
        Ok(self.header("Content-Encoding", "gzip"))
    }

    /// Ends the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        self.fault(Fault::CutAfter(bytes))
    }

    /// Sends so many bytes of the body, and then nothing until the client gives
    /// up.
    #[must_use]
    pub fn stall_after(self, bytes: usize) -> Self {
        self.fault(Fault::StallAfter(bytes))
    }

    /// Resets the connection after so many bytes of the body.
    #[must_use]
    pub fn reset_after(self, bytes: usize) -> Self {
        self.fault(Fault::ResetAfter(bytes))
    }

    /// Sends one byte of the body each second.
    #[must_use]
    pub fn trickle(self) -> Self {
        self.fault(Fault::Trickle)
    }

    /// No answer: nothing is sent until the client gives up.
    #[must_use]
    pub fn silence() -> Self {
        Self::status(200).fault(Fault::Silence)
    }

    /// No answer: the connection is reset.
    #[must_use]
    pub fn reset() -> Self {
        Self::status(200).fault(Fault::Reset)
    }

    /// Something that is no HTTP.
    #[must_use]
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(bytes).fault(Fault::Garbage)
    }

    /// The connection ends after it.
    #[must_use]
    pub(super) fn last(mut self) -> Self {
        self.last = true;
        self
    }

    fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Answers a request of which all but the last byte was read. Tells whether
    /// the connection goes on.
    pub(super) fn send(&self, wire: &mut Wire<'_>) -> io::Result<bool> {
        // Closed with something unread, a connection is reset.
        match self.fault {
            Some(Fault::Reset) => return Ok(false),
            Some(Fault::ResetAfter(most)) => {
                self.send_head(wire)?;
                wire.write_all(start(&self.body, most))?;
                return Ok(false);
            }
            _ => wire.read_exact(&mut [0])?,
        }
        match self.fault {
            Some(Fault::Silence) => {}
            Some(Fault::Garbage) => {
                wire.write_all(&self.body)?;
                wire.finish()?;
            }
            Some(Fault::CutAfter(most)) => {
                self.send_head(wire)?;
                wire.write_all(start(&self.body, most))?;
                wire.finish()?;
            }
            Some(Fault::StallAfter(most)) => {
                self.send_head(wire)?;
                wire.write_all(start(&self.body, most))?;
            }
            Some(Fault::Trickle) => {
                self.send_head(wire)?;
                for byte in &self.body {
                    wire.write_all(&[*byte])?;
                    if wire.is_closed_within(Duration::from_secs(1))? {
                        break;
                    }
                }
                return Ok(false);
            }
            _ => {
                self.send_head(wire)?;
                wire.write_all(&self.body)?;
                if !self.last {
                    return Ok(true);
                }
                wire.finish()?;
            }
        }
        wire.until_closed()?;
        Ok(false)
    }

    fn send_head(&self, wire: &mut Wire<'_>) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        if self.last {
            head.push_str("Connection: close\r\n");
        }
        if self.status != 204 && self.status != 304 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        wire.write_all(head.as_bytes())
    }
}

/// The first bytes, at most so many.
fn start(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}
