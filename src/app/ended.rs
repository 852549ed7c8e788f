//! Why the server ends a connection, as metrics name it (rule A9).

/// Why a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ended {
    /// It was without a request in service for too long.
    Idle = 1,
    /// Its client read its answer too slowly.
    SlowReader,
    /// It made room for another connection of the same client.
    ClientLimit,
    /// It made room for another connection.
    TotalLimit,
    /// It was closed at once, since all others were in use.
    Refused,
    /// Its client sent something that is no HTTP, or no TLS.
    Unreadable,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::SlowReader, Self::ClientLimit, Self::TotalLimit, Self::Refused, Self::Unreadable];

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SlowReader => "slow_reader",
            Self::ClientLimit => "client_limit",
            Self::TotalLimit => "total_limit",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
        }
    }
}
