//! What is wrong with how endpoints are set up.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is wrong with how endpoints are set up. Names no secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpsError {
    /// The token is empty or blank.
    EmptyToken,
    /// The token has characters other than visible ASCII, which cannot be sent
    /// as they are.
    BadToken,
    /// The webhook has neither a signing secret nor a shared one.
    NoSecret,
    /// A secret is empty or blank.
    EmptySecret,
    /// A shared secret has blanks at its ends, or characters other than ASCII,
    /// which cannot be sent as they are in a header.
    BadSecret,
    /// No header can have the name that is set for a shared secret.
    BadHeaderName,
    /// What asks for no token or secret must not listen on an address that
    /// others reach.
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    Bind(SocketAddr, io::Error),
    /// The Unix socket cannot be created at this path.
    BindUnix(PathBuf, io::Error),
}

impl fmt::Display for OpsError {
    /// The error and what caused it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyToken => f.write_str(
                "the operations' token is empty: set one, or say so with insecure_without_token",
            ),
            Self::BadToken => f.write_str(
                "the operations' token has blanks or characters other than visible ASCII, which no client can send",
            ),
            Self::NoSecret => f.write_str(
                "the webhook has no secret: set signing_secret or shared_secret, or say so with insecure_without_secret",
            ),
            Self::EmptySecret => f.write_str("a secret of the webhook is empty"),
            Self::BadSecret => f.write_str(
                "a shared secret of the webhook has blanks at its ends or characters other than ASCII, which no client can send",
            ),
            Self::BadHeaderName => {
                f.write_str("invalid header name for the webhook's shared secret")
            }
            Self::NotLoopback(address) => write!(
                f,
                "{address} is not a loopback address: set a token or a secret, or listen on 127.0.0.1"
            ),
            Self::Bind(address, cause) => write!(f, "cannot listen on {address}: {cause}"),
            Self::BindUnix(path, cause) => {
                let path = path.display();
                write!(f, "cannot listen on the Unix socket {path}: {cause}")
            }
        }
    }
}

impl Error for OpsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind(_, cause) | Self::BindUnix(_, cause) => Some(cause),
            _ => None,
        }
    }
}
