//! Fuzzing of everything that reads foreign text: `cargo test --test fuzz -- --seconds 60`.
//!
//! Each target mutates a corpus (the golden files, the examples, what it derives from them) and
//! checks what it promises of every input: no panic, an answer within a time, memory below a
//! bound, and the properties of `targets.rs`. Each runs in a process of its own, as many at once
//! as there are processors, in `--seconds` all together. The first failing input of a target is
//! written to a file, which `--target NAME --replay FILE` tries again.

mod mutate;
#[path = "../../benches/soak/random.rs"]
mod random;
mod reference;
mod targets;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser as _;
use mutate::Mutator;
use random::Random;
use targets::Target;

/// Mutates inputs of every reader, and checks what it makes of them.
#[derive(clap::Parser, Clone)]
struct Options {
    /// Seconds of all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The target: protocol, fhir, query, patch, csv or mapping; all without it
    #[arg(long)]
    target: Option<String>,
    /// Tells one run from another
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Input of the target that is tried alone
    #[arg(long, requires = "target")]
    replay: Option<PathBuf>,
    /// Longest time of an input, in seconds
    #[arg(long, default_value_t = 20)]
    input_seconds: u64,
    /// Most memory of a target's process, in MB
    #[arg(long, default_value_t = 768)]
    memory: u64,
    /// Longest input, in bytes
    #[arg(long, default_value_t = 65_536)]
    length: usize,
}

/// The input that is being tried, and since when.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

fn main() -> ExitCode {
    let options = Options::parse();
    match &options.target {
        Some(name) => match targets::named(name) {
            Some(target) => one(name, target, &options),
            None => {
                eprintln!("{name}: no target; there are {}", targets::NAMES.join(", "));
                ExitCode::from(2)
            }
        },
        None => all(&options),
    }
}

/// Every target in a process of its own, a share of the time each.
fn all(options: &Options) -> ExitCode {
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    let rounds = targets::NAMES.len().div_ceil(at_once) as u64;
    let seconds = (options.seconds / rounds).max(1);
    let mut failed = Vec::new();
    for names in targets::NAMES.chunks(at_once) {
        let children: Vec<(&str, Child)> = names
            .iter()
            .map(|&name| (name, child(name, seconds, options)))
            .collect();
        for (name, mut child) in children {
            if !child.wait().is_ok_and(|status| status.success()) {
                failed.push(name);
            }
        }
    }
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => {
            println!("failed: {}", failed.join(", "));
            ExitCode::FAILURE
        }
    }
}

fn child(name: &str, seconds: u64, options: &Options) -> Child {
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    program.args(["--target", name]);
    for (option, value) in [
        ("--seconds", seconds),
        ("--seed", options.seed),
        ("--input-seconds", options.input_seconds),
        ("--memory", options.memory),
        ("--length", options.length as u64),
    ] {
        program.args([option, &value.to_string()]);
    }
    program.spawn().expect("this program")
}

fn one(name: &str, make: fn() -> Target, options: &Options) -> ExitCode {
    let target = make();
    let current = Current::default();
    watch(name.to_owned(), current.clone(), options.clone());
    if let Some(file) = &options.replay {
        let input = std::fs::read(file).expect("the input");
        return match tried(&target, &current, &input) {
            Ok(_) => {
                println!("{name}: {} holds", file.display());
                ExitCode::SUCCESS
            }
            Err(why) => {
                println!("{name}: {}: {why}", file.display());
                ExitCode::FAILURE
            }
        };
    }
    // What is caught is told once, with its input.
    std::panic::set_hook(Box::new(|_| ()));
    let mut mutator = Mutator::new(&target, Random::new(options.seed, 0), options.length);
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (mut inputs, mut accepted) = (0_u64, 0_u64);
    for input in target.corpus.clone() {
        if let Err(why) = tried(&target, &current, &input) {
            return told(name, &input, &why);
        }
    }
    while Instant::now() < end {
        let input = mutator.next_input();
        inputs += 1;
        match tried(&target, &current, &input) {
            Ok(true) => {
                accepted += 1;
                mutator.keep(input);
            }
            Ok(false) => (),
            Err(why) => return told(name, &input, &why),
        }
    }
    let peak = memory("VmHWM:");
    println!("{name:<9}{inputs:>9} inputs, {accepted:>8} accepted, {peak:>4} MB at most, 0 faults");
    ExitCode::SUCCESS
}

/// Whether an input was accepted; what is wrong with what became of it.
fn tried(target: &Target, current: &Current, input: &[u8]) -> Result<bool, String> {
    *current.lock().expect("no panic") = Some((Instant::now(), input.to_vec()));
    let tried = catch_unwind(AssertUnwindSafe(|| (target.try_input)(input)));
    *current.lock().expect("no panic") = None;
    tried.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("of an unknown kind")))
    })
}

/// Ends the process where an input takes too long or too much memory.
fn watch(name: String, current: Current, options: Options) {
    let most = Duration::from_secs(options.input_seconds);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let Some((since, input)) = current.lock().expect("no panic").clone() else {
                continue;
            };
            let resident = memory("VmRSS:");
            let why = if since.elapsed() > most {
                format!("no answer within {} s", most.as_secs())
            } else if resident > options.memory {
                format!("{resident} MB of memory")
            } else {
                continue;
            };
            told(&name, &input, &why);
            std::process::exit(1);
        }
    });
}

/// Keeps a failing input in a file, and names it.
fn told(name: &str, input: &[u8], why: &str) -> ExitCode {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    let file = folder.join(format!("{name}-{:016x}", hasher.finish()));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input));
    let why: String = why.chars().take(4000).collect();
    println!("{name}: FAULT: {why}");
    match kept {
        Ok(()) => println!(
            "{name}: try it again: cargo test --test fuzz -- --target {name} --replay {}",
            file.display()
        ),
        Err(error) => println!("{name}: {}: {error}", file.display()),
    }
    ExitCode::FAILURE
}

/// A memory of this process in MB (Linux).
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) / 1024
}
