//! The Python process that runs `shap` and `lime`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");

/// Makes models and rows, unless this very script has made those that are there.
pub fn make(python: &Path, folder: &Path) -> Result<()> {
    let script = fs::read_to_string(SCRIPT).context("cannot read peers.py")?;
    let made_by = folder.join("made_by.py");
    if fs::read_to_string(&made_by).is_ok_and(|old| old == script) {
        return Ok(());
    }
    let status = Command::new(python).arg(SCRIPT).arg("make").arg(folder).status().context("cannot run Python")?;
    ensure!(status.success(), "peers.py make failed");
    fs::write(&made_by, script).context("cannot write what made the models")
}

/// What it said of one explanation.
#[derive(Deserialize)]
pub struct Said {
    /// CPU milliseconds in all.
    pub cpu_ms: f64,
    /// Of these, the model's.
    pub model_ms: f64,
    /// Rows that the model was asked.
    pub rows: u64,
    /// Attributions.
    pub values: Vec<f64>,
}

/// A running process.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it.
    pub fn start(python: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(SCRIPT).arg("serve").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run Python")?;
        let (to, from) = (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    /// One explanation.
    pub fn ask(&mut self, method: &str, model: &str, row: usize) -> Result<Said> {
        writeln!(self.to, "{}", serde_json::json!({"method": method, "model": model, "row": row}))?;
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the peer said: {line}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends by itself when nobody asks; this is for the case that it does not.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
