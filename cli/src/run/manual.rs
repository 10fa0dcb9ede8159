//! `shardpack completions` and `shardpack man`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, Failure, Result};
use crate::output::Output;

pub(super) fn completions(shell: Shell, output: &mut Output) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shardpack", &mut script);
    output.raw(&script)?;
    Ok(Exit::Done)
}

pub(super) fn page(name: Option<&str>, output: &mut Output) -> Result<Exit> {
    let whole = Cli::command();
    let command = match name {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name).cloned().ok_or_else(|| {
                Failure::new(format!("no command {name:?}")).hint("shardpack --help lists them")
            })?;
            found.display_name(format!("shardpack-{name}"))
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|e| Failure::of(&e))?;
    output.raw(&page)?;
    Ok(Exit::Done)
}
