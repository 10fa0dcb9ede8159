//! What is left out, by path.

use super::super::globs::Globs;
use crate::args::{HiddenArg, SourceArgs};
use crate::exit::Result;

/// What `--include`, `--exclude` and `--hidden` leave out of files that are listed at once.
pub(super) struct Rules {
    globs: Globs,
    hidden: bool,
}

impl Rules {
    pub(super) fn new(args: &SourceArgs) -> Result<Self> {
        let globs = Globs::new(&args.include, &args.exclude)?;
        Ok(Self { globs, hidden: args.hidden == HiddenArg::Include })
    }

    pub(super) fn leave_out(&self, path: &[u8]) -> Option<&'static str> {
        let is_hidden = |path: &[u8]| path.split(|&b| b == b'/').any(|part| part.starts_with(b"."));
        let folders = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        match () {
            () if !self.hidden && is_hidden(path) => Some("hidden"),
            () if !self.globs.keep(path) => Some("excluded"),
            () if !folders.map(|(end, _)| &path[..end]).all(|dir| self.globs.enter(dir)) => {
                Some("excluded")
            }
            () => None,
        }
    }
}
