//! Every fault at every call of every command.

use shardpack_pack::Error;
use shardpack_testkit::s3::{Call, Fault, FaultRule};

use super::commands::{COMMANDS, READS};
use super::{BODY, Command, Files, World, lost, objects, restore};
use crate::s3::difference;
use crate::s3::faults::{at_rest, chain, each, of_the_line};

/// `SHARDPACK_SLOW=1` tries every fault at every call, some minutes; otherwise they take turns: each
/// call sees some of them, and each fault strikes every seventh call.
fn in_turn(fault: usize, call: u64) -> bool {
    const TURNS: u64 = 7;
    std::env::var_os("SHARDPACK_SLOW").is_some() || (fault as u64 + call).is_multiple_of(TURNS)
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    /// There was no such call.
    Missed,
}

/// A command in a bucket, and what a run that nobody disturbs makes of it.
struct Case<'w> {
    world: &'w World,
    command: &'w Command,
    before: &'static Files,
    whole: Files,
    calls: u64,
}

impl<'w> Case<'w> {
    fn new(world: &'w World, command: &'w Command) -> Self {
        let before = World::bucket();
        restore(&world.server, before);
        world.server.forget_calls();
        (command.run)(world).expect("no fault");
        let calls = world.server.call_count() as u64;
        assert!(calls > 8, "{}: {calls} calls", command.name);
        let whole = objects(&world.server, "");
        Self { world, command, before, whole, calls }
    }

    /// One run with a fault, and one more if it failed; what is wrong with what they left.
    fn strike(&self, rule: FaultRule) -> Result<Outcome, String> {
        let Self { world, command, before, whole, .. } = self;
        restore(&world.server, before);
        let uploads = world.server.uploads().len(); // what an earlier case left counts once
        world.server.forget_calls();
        world.server.inject(rule);
        let ran = (command.run)(world);
        world.server.heal();
        let calls = world.server.calls();
        let Some(struck) = calls.iter().find(|call| call.fault.is_some()) else {
            return Ok(Outcome::Missed);
        };
        let outcome = match &ran {
            Ok(()) => Outcome::Done,
            Err(error) => {
                self.is_named(struck, error)?;
                self.is_safe(error)?;
                Outcome::Failed
            }
        };
        if let Some(other) = difference(&objects(&world.server, ""), whole) {
            return Err(format!("{outcome:?}, but {other}"));
        }
        // Of one whose beginning was never answered a pack's faults tell.
        match world.server.uploads().len() > uploads && struck.operation != "CreateMultipartUpload"
        {
            true => Err(format!("{outcome:?}, but an upload is left")),
            false => Ok(outcome),
        }
    }

    /// An answer that no repetition changes is told with the object and the operation.
    fn is_named(&self, struck: &Call, error: &Error) -> Result<(), String> {
        let Some(Fault::Error(_, code)) = struck.fault else { return Ok(()) };
        let told = chain(error);
        let key = struck.key.as_deref().unwrap_or_default();
        // An answer to HEAD has no body, and so no code.
        let code = if struck.operation == "HeadObject" { "" } else { code };
        let words = [code, &struck.operation, "s3://bucket/", key];
        match words.iter().find(|word| !told.contains(**word)) {
            Some(word) => Err(format!("{word:?} is not told: {told}")),
            None => Ok(()),
        }
    }

    /// What a run that failed left: the dataset as it was or as it was to become, and nothing that
    /// keeps the same command from finishing.
    fn is_safe(&self, error: &Error) -> Result<(), String> {
        let Self { world, command, before, whole, .. } = self;
        let head = format!("{}manifest.json", command.place);
        let found = objects(&world.server, "");
        let published = found.get(&head) != before.get(&head);
        // What is taken away goes behind the manifest, and may be there still.
        let wanted = if published { whole } else { before };
        if let Some(other) = lost(&found, wanted, whole) {
            return Err(format!("{}, and {other}", chain(error)));
        }
        if wanted.contains_key(&head) {
            let told = |error| format!("not whole after a failure: {}", chain(&error));
            world.verify(command.place).map_err(told)?;
        }
        match (command.run)(world) {
            Ok(()) => Ok(()),
            // Whoever finds shards with a manifest leaves them alone.
            Err(Error::Occupied { .. }) if published && command.name == "index" => Ok(()),
            Err(again) => Err(format!("{}; then {}", chain(error), chain(&again))),
        }
    }
}

/// Every fault of the line, and a byte that changes on its way here.
fn every() -> Vec<Fault> {
    of_the_line(BODY / 2).into_iter().chain([Fault::WrongBody]).collect()
}

fn mends(fault: &Fault) -> bool {
    !matches!(fault, Fault::Error(..) | Fault::WrongBody)
}

/// A fault of the line loses nothing, at whichever call of the command of this name it comes.
fn line(name: &str) {
    let command = command(name);
    each(World::new, every(), |world, fault| {
        let case = Case::new(world, command);
        let number = every().iter().position(|other| other == fault).unwrap_or_default();
        (1..=case.calls)
            .filter(|k| in_turn(number, *k))
            .filter_map(|k| {
                let outcome = case.strike(FaultRule::new(fault.clone()).from(k));
                let fine = match &outcome {
                    Ok(Outcome::Done | Outcome::Missed) => true,
                    Ok(Outcome::Failed) => !mends(fault),
                    Err(_) => false,
                };
                (!fine).then(|| format!("{fault:?} at call {k} of {}: {outcome:?}", case.calls))
            })
            .collect()
    });
}

/// Nobody is told by the server that what it stored is not what it was sent: the run finds it, or
/// the next one.
fn rest(name: &str) {
    let command = command(name);
    let writes =
        ["PutObject", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "CopyObject"];
    each(World::new, at_rest().to_vec(), |world, fault| {
        let case = Case::new(world, command);
        let wrong = |operation: &str| -> Vec<String> {
            (1..)
                .map(|k| (k, case.strike(FaultRule::new(fault.clone()).on(operation).from(k))))
                .take_while(|(_, outcome)| *outcome != Ok(Outcome::Missed))
                .filter_map(|(k, outcome)| {
                    Some(format!("{fault:?} at {operation} {k}: {}", outcome.err()?))
                })
                .collect()
        };
        writes.into_iter().flat_map(wrong).collect()
    });
}

fn command(name: &str) -> &'static Command {
    COMMANDS.iter().find(|command| command.name == name).expect("a command")
}

/// A test a command, so that they run side by side.
macro_rules! commands {
    ($($test:ident: $name:literal),* $(,)?) => {$(
        mod $test {
            #[test]
            fn a_fault_of_the_line_at_any_call_loses_nothing() {
                super::line($name);
            }

            #[test]
            fn damage_at_rest_is_found() {
                super::rest($name);
            }
        }
    )*};
}

commands! {
    append: "append",
    sync: "append --sync",
    compact: "compact",
    delete: "delete",
    merge: "merge",
    join: "join",
    overlay: "join --overlay",
    reshard: "reshard",
    map: "reshard --map-cmd",
    index: "index",
}

/// What is disturbed above are copies too.
#[test]
fn compact_and_reshard_let_s3_copy() {
    for (name, least) in [("compact", 1), ("reshard", 3)] {
        let world = World::new();
        world.server.forget_calls();
        (command(name).run)(&world).expect("no fault");
        let calls = world.server.calls();
        let copies = calls.iter().filter(|call| call.operation == "UploadPartCopy").count();
        assert!(copies >= least, "{name}: {copies}");
    }
}

#[test]
fn a_fault_at_any_call_of_a_comparison_gives_the_same_or_an_error() {
    each(World::new, every(), |world, fault| {
        let mut wrong = Vec::new();
        for (name, read) in READS {
            world.server.forget_calls();
            let expected = read(world).expect("no fault");
            for k in 1..=world.server.call_count() as u64 {
                world.server.inject(FaultRule::new(fault.clone()).from(k));
                let found = read(world);
                world.server.heal();
                let told = match found {
                    Ok(found) if found != expected => found,
                    Err(error) if mends(fault) => chain(&error),
                    _ => continue,
                };
                wrong.push(format!("{name}, {fault:?} at call {k}: {told}"));
            }
        }
        wrong
    });
}
