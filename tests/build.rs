//! Makes a gRPC client of the server's own `.proto` files.

use std::error::Error;

const FOLDER: &str = "../server/grpc_api/proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let files = protox::compile(["inference.proto"], [FOLDER])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
