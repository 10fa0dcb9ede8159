//! Stdout: the data of a command, for people or as one JSON document.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use serde::Serialize;

use crate::exit::{Failure, Result};

/// Buffered stdout. A closed pipe ends the command quietly: `shardpack ls DST | head` is no error.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: BufWriter::new(io::stdout()) }
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.raw(text.as_bytes())?;
        self.raw(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stdout.write_all(bytes).map_err(failed)
    }

    /// The one JSON document of a command.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> Result<()> {
        serde_json::to_writer_pretty(&mut self.stdout, document).map_err(|e| failed(e.into()))?;
        self.raw(b"\n")
    }

    /// Hands everything to the system.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.stdout.flush().map_err(failed)
    }
}

fn failed(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::closed(),
        _ => {
            Failure { causes: vec![error.to_string()], ..Failure::new("stdout: cannot be written") }
        }
    }
}
