//! Which endpoint a path means.

/// What an endpoint gives away or does, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exposure {
    /// One bit.
    Probe,
    /// Numbers and states, without any name or text.
    Counts,
    /// Flags, contexts, errors; or it causes requests to the source.
    Full,
}

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

    /// What it gives away or does.
    ///
    /// [`Status`](crate::Status) counts as full: it names the source and
    /// carries the source's last error.
    pub(super) fn exposure(self) -> Exposure {
        match self {
            Self::Live | Self::Ready => Exposure::Probe,
            Self::Stats => Exposure::Counts,
            Self::Health
            | Self::Flags
            | Self::Explain(_)
            | Self::Refresh
            | Self::Invalidate
            | Self::InvalidateAll => Exposure::Full,
        }
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
