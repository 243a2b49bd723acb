//! Makes of `proto/`: the message types, the service, and the descriptor that reflection gives out. Needs no
//! `protoc`.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;

const FILES: [&str; 2] = ["inference.proto", "model_config.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let mut described = files.clone();
    for file in &mut described.file {
        // Comments and lines are for whoever reads the source.
        file.source_code_info = None;
    }
    #[allow(clippy::disallowed_methods, reason = "a build script is told by the environment where to write")]
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("descriptor.bin"), described.encode_to_vec())?;
    // With the message that is read by hand: what tests write requests with.
    let whole = Path::new(&out).join("whole");
    fs::create_dir_all(&whole)?;
    tonic_prost_build::configure().build_client(false).build_server(false).out_dir(whole).compile_fds(files.clone())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".inference.ModelInferResponse.raw_output_contents")
        .bytes(".inference.InferTensorContents.bytes_contents")
        // Read by hand, within limits and straight into tensors.
        .extern_path(".inference.ModelInferRequest", "crate::wire::InferMessage")
        .codec_path("crate::codec::BoundedCodec")
        .compile_fds(files)?;
    Ok(())
}
