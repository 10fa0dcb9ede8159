//! `shardpack channels`.

mod show;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shardpack_agent::{
    Agent, Choices, Error, Faults, Job, Options, Progress, Signals, Stop, Survey, Tell,
    run as run_in, watch,
};
use shardpack_channel::ResourceConfig;
use shardpack_manifest::sagemaker::{Distribution, InputMode, Word};
use shardpack_store::{LocalOptions, LocalStore, S3, S3Store, S3Uri, Store};

use super::s3;
use crate::args::{ChannelJobArgs, ChannelsArgs, ChannelsCommand, EmitArgs, OutputArgs, ServeArgs};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;

/// Exit codes that a shell has for a command that is not there, or cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

pub(super) fn run(args: &ChannelsArgs, log: Log, output: &mut Output) -> Result<Exit> {
    match &args.command {
        ChannelsCommand::Check { job, output: how } => {
            signal::end_at_once(log, "interrupted; nothing was created")?;
            check(job, how.json, log, output)
        }
        ChannelsCommand::Up { job, serve, env_file, output: how } => {
            up(job, serve, env_file.as_deref(), *how, log, output)
        }
        ChannelsCommand::Run { job, serve, grace, output: how, command } => {
            let code = train(job, serve, Duration::from_secs(*grace), command, *how, log)?;
            // The command's own code, of which there are more than ours.
            std::process::exit(code)
        }
        ChannelsCommand::Emit(args) => emit(args, log, output),
        ChannelsCommand::Watch { root } => {
            watch(root);
            Ok(Exit::Done)
        }
    }
}

/// A job, its hosts, and what its channels hold.
struct Looked {
    job: Job,
    hosts: ResourceConfig,
    survey: Survey,
}

fn look(args: &ChannelJobArgs, io_depth: usize, memory: u64, log: Log) -> Result<Looked> {
    let file = args.job.as_ref().map(|path| {
        let failed = |error| shardpack_store::Error::io(error, path.display().to_string());
        std::fs::read(path).map_err(failed)
    });
    let parameters = args.hyperparameters.iter().cloned().collect();
    let job = Job::with_flags(file.transpose()?.as_deref(), &args.channels, &parameters)?;
    let hosts = job.hosts(&args.hosts, args.current_host.as_deref())?;
    let choices = Choices {
        assign: args.assign,
        suffix_names: args.suffix_names,
        file_systems: args.file_systems.iter().map(|(id, p)| (id.clone(), p.into())).collect(),
    };
    let limits = s3::Limits { io_depth, memory };
    let connect = |uri: &S3Uri| S3::connect(uri, s3::options(&args.s3, limits, log));
    let survey = Survey::new(&job, &hosts, &choices, &connect)?;
    Ok(Looked { job, hosts, survey })
}

fn check(args: &ChannelJobArgs, json: bool, log: Log, output: &mut Output) -> Result<Exit> {
    let limits = s3::Limits::default();
    let Looked { survey, .. } = look(args, limits.io_depth, limits.memory, log)?;
    show::findings(&survey, json, output)?;
    let is_broken = survey.findings.iter().any(|finding| finding.is_broken);
    Ok(if is_broken { Exit::Failed } else { Exit::Done })
}

/// Brings a job's channels up.
///
/// Signals are caught from the moment on that something is created: until then they end the program
/// as they always do.
fn start(
    args: &ChannelJobArgs,
    serve: &ServeArgs,
    how: OutputArgs,
    log: Log,
) -> Result<(Agent, Signals)> {
    let (io_depth, memory) = (usize::from(serve.io_depth), serve.memory.0);
    let Looked { job, hosts, survey } = look(args, io_depth, memory, log)?;
    for doubt in survey.findings.iter().filter(|finding| !finding.is_broken) {
        log.note(&format!("note: {doubt}"));
    }
    let stop = Stop::default();
    let signals = Signals::catch(stop.clone())?;
    let progress = Arc::new(Progress::default());
    let options = Options {
        root: serve.root.clone(),
        io_depth,
        memory,
        faults: Faults {
            latency: Duration::from_millis(serve.latency),
            bandwidth: serve.bandwidth.map(|size| size.0),
            drop_after: serve.drop_after.map(|size| size.0),
            stall: Duration::from_secs_f64(serve.stall),
            ..Faults::default()
        },
        watchdog: watchdog()?,
        stop,
        tell: Tell::new(move |message| log.note(message)),
        progress: Arc::clone(&progress),
    };
    let display = show::Display::start(how, progress, log);
    let agent = Agent::up(job, hosts, survey, &options)?;
    drop(display);
    Ok((agent, signals))
}

/// This program again, as the watchdog.
fn watchdog() -> Result<Vec<OsString>> {
    let program = std::env::current_exe().map_err(|error| Failure::of(&error))?;
    Ok(vec![program.into(), "channels".into(), "watch".into()])
}

fn up(
    args: &ChannelJobArgs,
    serve: &ServeArgs,
    env_file: Option<&Path>,
    how: OutputArgs,
    log: Log,
    output: &mut Output,
) -> Result<Exit> {
    let (agent, signals) = start(args, serve, how, log)?;
    let environment = agent.environment(&[]);
    match env_file {
        Some(path) => {
            let lines: String =
                environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            let failed = |error| shardpack_store::Error::io(error, path.display().to_string());
            std::fs::write(path, lines).map_err(failed)?;
        }
        None if how.json => output.json(&environment)?,
        None => environment
            .iter()
            .try_for_each(|(name, value)| output.line(&format!("{name}={value}")))?,
    }
    std::io::Write::flush(output).map_err(|error| Failure::of(&error))?;
    log.note(&format!("channels are up in {}; Ctrl-C takes them down", serve.root.display()));
    signals.wait();
    drop(agent);
    Ok(Exit::Done)
}

fn train(
    args: &ChannelJobArgs,
    serve: &ServeArgs,
    grace: Duration,
    command: &[String],
    how: OutputArgs,
    log: Log,
) -> Result<i32> {
    let (agent, signals) = start(args, serve, how, log)?;
    match run_in(agent, command, grace, &signals) {
        Ok(code) => Ok(code),
        Err(Error::Command { name, source }) => {
            let code = match source.kind() {
                std::io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_RUN,
            };
            Failure::new(format!("{name}: cannot be run: {source}")).report(log);
            Ok(code)
        }
        Err(error) => Err(error.into()),
    }
}

fn emit(args: &EmitArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let address = s3::uri(&args.path)?;
    let store: Box<dyn Store> = match &address {
        Some(uri) => {
            let line = s3::connect(uri, &args.s3, s3::Limits::default(), log)?;
            Box::new(S3Store::open(line, uri.clone()))
        }
        None => Box::new(LocalStore::open(&args.path, &LocalOptions::default())),
    };
    let prefix = match (&args.uri, address) {
        (Some(uri), _) => uri.parse::<S3Uri>()?.folder().to_string(),
        (None, Some(uri)) => uri.folder().to_string(),
        (None, None) => shardpack_manifest::sagemaker::PLACEHOLDER.to_owned(),
    };
    let object = store.open("manifest.json")?;
    let mut bytes = vec![0; usize::try_from(object.len()).unwrap_or(0)];
    let read = object.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    let manifest =
        shardpack_manifest::Manifest::parse(&bytes).map_err(|error| Failure::of(&error))?;
    let mode = args.mode.as_deref().map(|word| {
        let known = InputMode::ALL.iter().find(|mode| mode.to_string() == word).copied();
        known.ok_or_else(|| Failure::new(format!("{word}: write File, FastFile or Pipe")))
    });
    let modes = match mode.transpose()? {
        Some(mode) => vec![mode],
        None => vec![InputMode::File, InputMode::FastFile, InputMode::Pipe],
    };
    let distribution =
        if args.sharded { Distribution::ShardedByS3Key } else { Distribution::FullyReplicated };
    for mode in modes {
        let emitted = shardpack_agent::emit(&manifest, &prefix, mode, distribution)?;
        output.line(&format!("# {mode}: InputDataConfig of CreateTrainingJob"))?;
        output.line(emitted.json.trim_end())?;
        output.line(&format!("# {mode}: SageMaker SDK"))?;
        output.line(&emitted.python)?;
    }
    Ok(Exit::Done)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Store(_) => {
                return match error {
                    Error::Store(source) => source.into(),
                    other => Failure::of(&other),
                };
            }
            Error::Stopped => {
                return Failure { exit: Exit::Interrupted, ..Failure::new("interrupted") };
            }
            Error::Busy { .. } => "stop it, or name another folder with --root",
            Error::Space { .. } => "free space, or take FastFile or Pipe: they need none",
            _ => return Failure::of(&error),
        };
        Failure::of(&error).hint(hint)
    }
}
