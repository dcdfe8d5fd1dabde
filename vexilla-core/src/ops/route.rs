//! Which endpoint a path means.

/// An endpoint of the operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Live,
    Ready,
    Health,
    Stats,
    Flags,
    /// With the flag's key, percent-encoded.
    Explain(&'a str),
    Refresh,
    Invalidate,
    InvalidateAll,
}

impl<'a> Route<'a> {
    /// The endpoint of a path, percent-encoded as it was sent.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/health/live" => Self::Live,
            "/health/ready" => Self::Ready,
            "/health" => Self::Health,
            "/admin/stats" => Self::Stats,
            "/admin/flags" => Self::Flags,
            "/admin/refresh" => Self::Refresh,
            "/admin/invalidate" => Self::Invalidate,
            "/admin/invalidate-all" => Self::InvalidateAll,
            _ => {
                let rest = path.strip_prefix("/admin/flags/")?;
                let key = rest.strip_suffix("/explain")?;
                if key.is_empty() || key.contains('/') {
                    return None;
                }
                Self::Explain(key)
            }
        })
    }

    /// Whether it is free of the token.
    pub(super) fn is_a_probe(self) -> bool {
        matches!(self, Self::Live | Self::Ready)
    }

    /// The methods that it answers to.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Health | Self::Stats | Self::Flags => "GET, HEAD",
            Self::Explain(_) | Self::Refresh | Self::Invalidate | Self::InvalidateAll => "POST",
        }
    }

    /// Whether it answers to this method.
    pub(super) fn answers(self, method: &str) -> bool {
        self.methods().split(", ").any(|known| known == method)
    }
}
