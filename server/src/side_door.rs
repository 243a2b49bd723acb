//! Opens what stands beside the HTTP door and need not be there: gRPC and the health listener.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use candor_domain::Result;

use crate::wiring::cannot_bind;

/// What became of a door that need not be there.
pub(crate) enum SideDoor<D> {
    /// Open.
    Open(D),
    /// Not wanted.
    Off,
    /// Nobody has chosen its address, and another process has the one that it would have had.
    Taken(String),
}

/// Where a side door is to be, and in whose words.
pub(crate) struct Place<'a> {
    /// What is not there if it cannot be opened.
    pub(crate) what: &'static str,
    /// Where it listens; nowhere when it is off.
    pub(crate) addrs: &'a [SocketAddr],
    /// Whether somebody has chosen that address.
    pub(crate) is_chosen: bool,
    /// How one chooses another.
    pub(crate) other: &'static str,
}

impl<D> SideDoor<D> {
    /// Opens it as the settings say. That a default address is taken keeps no server from starting: whoever wants the
    /// door there learns of it, and whoever does not know of it is not bothered.
    ///
    /// # Errors
    /// When an address that somebody has chosen cannot be listened on.
    pub(crate) fn open(place: &Place<'_>, open: impl FnOnce(&[SocketAddr]) -> io::Result<D>) -> Result<Self> {
        let Place { what, addrs, is_chosen, other } = place;
        if addrs.is_empty() {
            return Ok(Self::Off);
        }
        match open(addrs) {
            Ok(door) => Ok(Self::Open(door)),
            Err(error) => {
                let problem = cannot_bind(addrs, &error, other);
                if error.kind() == ErrorKind::AddrInUse && !is_chosen {
                    tracing::warn!("there is no {what}: {problem}");
                    return Ok(Self::Taken(problem.to_string()));
                }
                Err(problem)
            }
        }
    }

    /// The door, if it is open.
    pub(crate) fn door(&self) -> Option<&D> {
        match self {
            Self::Open(door) => Some(door),
            Self::Off | Self::Taken(_) => None,
        }
    }

    /// Why it is not there although nobody has switched it off.
    pub(crate) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Taken(why) => Some(why),
            Self::Open(_) | Self::Off => None,
        }
    }
}
