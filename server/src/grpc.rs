//! Opens the gRPC door beside the HTTP one.

use std::io::ErrorKind;

use candor_domain::Result;
use candor_grpc_api::{GrpcDoor, GrpcParts};

use crate::{config::Settings, wiring::cannot_bind};

/// What became of the gRPC door.
pub(crate) enum Grpc {
    /// Open.
    Open(GrpcDoor),
    /// Not wanted.
    Off,
    /// Nobody has chosen its address, and another process has the one that it would have had.
    Taken(String),
}

impl Grpc {
    /// Opens it as the settings say. That the default address is taken keeps no server from starting: whoever wants
    /// gRPC there learns of it, and whoever does not know of gRPC is not bothered.
    ///
    /// # Errors
    /// When an address that somebody has chosen cannot be listened on.
    pub(crate) fn open(settings: &Settings, parts: GrpcParts) -> Result<Self> {
        let addrs = settings.grpc.addrs.as_slice();
        if addrs.is_empty() {
            return Ok(Self::Off);
        }
        match GrpcDoor::open(addrs, parts) {
            Ok(door) => Ok(Self::Open(door)),
            Err(error) => {
                let problem = cannot_bind(addrs, &error, "--grpc-addr, or switch gRPC off with --grpc-addr off");
                if error.kind() == ErrorKind::AddrInUse && !settings.grpc.addr_is_chosen {
                    tracing::warn!("there is no gRPC: {problem}");
                    return Ok(Self::Taken(problem.to_string()));
                }
                Err(problem)
            }
        }
    }
}
