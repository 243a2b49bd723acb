//! The process of reference.py: asked and answering line by line. It does not know what is measured.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The process; it ends with this.
pub struct Reference {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What a measurement came to.
#[derive(Deserialize)]
pub struct Measured {
    /// CPU microseconds of a call.
    pub cpu_us: f64,
    /// What the first rows were answered.
    pub values: Vec<f64>,
}

impl Reference {
    /// Starts it.
    pub fn start(python: &Path, script: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(script).arg(folder).env("PYTHONDONTWRITEBYTECODE", "1");
        // shap draws bars of progress there.
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = std::fs::File::create(folder.join("reference.log")).context("cannot write reference.log")?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(log)).spawn();
        let mut child = child.with_context(|| format!("cannot start {}", python.display()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("no output")?);
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Asks, and waits for the answer.
    pub fn ask<T: DeserializeOwned>(&mut self, question: &Value) -> Result<T> {
        let input = self.input.as_mut().context("reference.py is not asked any more")?;
        writeln!(input, "{question}").context("reference.py has ended")?;
        let mut line = String::new();
        self.output.read_line(&mut line).context("reference.py has ended")?;
        serde_json::from_str(&line).with_context(|| format!("reference.py said '{line}' to {question}"))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.child.wait();
    }
}
