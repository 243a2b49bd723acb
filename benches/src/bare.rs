//! The bare handler: actix, the same JSON parsed into plain structs, a fixed reply, and nothing else.
//!
//! It runs in a child process with the same socket settings as the server, and says its address as the
//! server does. It checks nothing, runs nothing and encodes nothing: a floor for JSON over actix.

use std::{fs, io::Read as _, path::Path, process, thread, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::child::SERVING_FILE;

/// About as long as the reply of iris for one row.
const REPLY: &str = r#"{"model_name":"bare","model_version":"1","outputs":[{"name":"label","datatype":"INT64","shape":[1],"data":[0]},{"name":"probabilities","datatype":"FP32","shape":[1,3],"data":[0.9976472,0.002352764,2.9242033e-13]}]}"#;

/// As the server's own limit.
const BODY_BYTES_MAX: usize = 64 << 20;

/// What is parsed.
#[derive(Deserialize)]
struct InferBody {
    inputs: Vec<InferInput>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed for its cost; the data alone is looked at")]
struct InferInput {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    data: Vec<f32>,
}

async fn infer(body: web::Bytes) -> HttpResponse {
    match serde_json::from_slice::<InferBody>(&body) {
        Ok(body) if std::hint::black_box(&body).inputs.iter().all(|input| !input.data.is_empty()) => {
            HttpResponse::Ok().content_type("application/json").body(REPLY)
        }
        Ok(_) | Err(_) => HttpResponse::BadRequest().finish(),
    }
}

/// Serves until this process is killed, or its standard input ends because whoever started it is gone.
pub fn serve(folder: &Path, workers: u32) -> Result<()> {
    end_with_parent()?;
    // Any path will do: matching patterns is not parsing, and would make the floor higher.
    let app = || App::new().app_data(web::PayloadConfig::new(BODY_BYTES_MAX)).default_service(web::to(infer));
    // As in the server's wiring.
    let server = HttpServer::new(app)
        .workers(usize::try_from(workers)?)
        .backlog(1024)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(5))
        .h1_allow_half_closed(false)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .context("the bare handler cannot listen")?;
    let http = server.addrs().first().context("the bare handler has no address")?.to_string();
    let text = serde_json::json!({"pid": process::id(), "http": http}).to_string();
    let draft = folder.join("serving.tmp");
    fs::write(&draft, text).context("the bare handler cannot say its address")?;
    fs::rename(&draft, folder.join(SERVING_FILE)).context("the bare handler cannot say its address")?;
    actix_web::rt::System::new().block_on(server.run()).context("the bare handler ended")
}

/// Ends this process when whoever started it is gone.
pub fn end_with_parent() -> Result<()> {
    let watch = || {
        let mut nothing = [0; 1];
        while matches!(std::io::stdin().read(&mut nothing), Ok(count) if count > 0) {}
        process::exit(0);
    };
    thread::Builder::new().name("parent".into()).spawn(watch).context("no thread")?;
    Ok(())
}
