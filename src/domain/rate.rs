//! How often one client may do what costs something.

/// What one client may do: `burst` at once, and `per_second` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// On the average. None is no limit.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Default for Rate {
    /// An office of some thousand people behind one address is let through.
    fn default() -> Self {
        Self { per_second: 50, burst: 500 }
    }
}
