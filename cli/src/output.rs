//! Stdout: the data of a command, for people or as one JSON document.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use serde::Serialize;

use crate::exit::{Failure, Result};

/// Buffered stdout. A closed pipe ends the command quietly: `shardpack ls DST | head` is no error.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: BufWriter::new(io::stdout()), closed: false }
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.raw(text.as_bytes())?;
        self.raw(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(failed)
    }

    /// The one JSON document of a command.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> Result<()> {
        serde_json::to_writer_pretty(&mut *self, document).map_err(|e| failed(e.into()))?;
        self.raw(b"\n")
    }

    /// A part of a JSON document, on one line.
    pub(crate) fn json_part(&mut self, part: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut *self, part).map_err(|e| failed(e.into()))
    }

    /// True once the reader went away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands everything to the system.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush().map_err(failed)
    }

    fn note<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        self.closed |= done.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe);
        done
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.stdout.write(bytes);
        self.note(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.stdout.flush();
        self.note(done)
    }
}

fn failed(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::closed(),
        _ => {
            let causes = vec![error.to_string()];
            Failure { causes, ..Failure::new("stdout: cannot be written") }
        }
    }
}
