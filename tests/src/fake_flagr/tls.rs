//! Certificates, made anew for each test.

use std::error::Error;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// A certificate authority of one's own, trusted by nobody who is not told to.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server shows those who connect.
#[derive(Debug, Clone)]
pub struct Identity(pub(super) Arc<ServerConfig>);

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    ///
    /// No randomness for its key.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    /// The certificate to trust, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server that this authority vouches for, by a host's name or address.
    ///
    /// # Errors
    ///
    /// A name that is none.
    pub fn identity(&self, name: &str) -> Result<Identity, Box<dyn Error>> {
        self.sign(&CertificateParams::new(vec![name.to_owned()])?)
    }

    /// The same, but until the year 2000 only.
    ///
    /// # Errors
    ///
    /// A name that is none.
    pub fn expired_identity(&self, name: &str) -> Result<Identity, Box<dyn Error>> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_after = rcgen::date_time_ymd(2000, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity, Box<dyn Error>> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())?;
        Ok(Identity(Arc::new(config)))
    }
}
