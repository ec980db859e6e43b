//! From a component to machine code, within bounds: a compiler's time and memory are no promise of wasmtime's, and who writes a plugin may
//! want them to have no end.
//!
//! A process of its own compiles, with limits of CPU and address space, and is killed at its deadline; it gets the component and nothing
//! else. Where there is no program for that (tests, other hosts), a thread compiles, which can be given up but not ended. Whoever shares
//! a [`Turn`] compiles one plugin at a time.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::error::quote;
use super::lock;

/// The subcommand that compiles: see [`compile_standard_input`].
const SUBCOMMAND: &str = "compile-plugin";
/// Address space of a compiling process, in bytes. A Python plugin's compiler takes a tenth of it.
const ADDRESS_SPACE: u64 = 16 << 30;
/// Most machine code that is taken of one plugin, in bytes.
const CODE_BYTES: u64 = 1 << 30;
/// Most of a compiler's complaint that is read, in bytes.
const COMPLAINT_BYTES: u64 = 64 << 10;
/// How often a compiling process is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// This program's file, if it compiles plugins.
static OWN: OnceLock<PathBuf> = OnceLock::new();

/// Who compiles plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// A thread of this process.
    #[default]
    Thread,
    /// This program (`tidemill` itself), run with [`SUBCOMMAND`].
    Program(PathBuf),
}

/// One compilation at a time among those that share it: a tenant has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<Mutex<()>>);

/// Why a component was not compiled.
#[derive(Debug)]
pub(super) enum CompileError {
    /// It is no sound component.
    Invalid(String),
    /// It took longer than this.
    TooLong(Duration),
    /// The compiler itself failed: its words.
    Failed(String),
}

impl Compiler {
    /// This program, if it has said that it compiles when it is asked to ([`Compiler::offer`]), else a thread.
    pub fn own() -> Self {
        OWN.get().cloned().map_or(Self::Thread, Self::Program)
    }

    /// Says that this program knows [`SUBCOMMAND`]: the command line does, and a program that only links this library doesn't.
    pub fn offer() {
        // By this name it is this very program, though its file were replaced meanwhile.
        let _once = OWN.set(PathBuf::from("/proc/self/exe"));
    }

    /// Compiles a component for this engine, when it is its turn, within `deadline`.
    pub(super) fn compile(
        &self,
        engine: &Engine,
        component: &[u8],
        deadline: Duration,
        turn: &Turn,
    ) -> Result<Component, CompileError> {
        let _turn = lock(&turn.0);
        match self {
            Self::Thread => in_thread(engine, component, deadline),
            Self::Program(program) => in_process(engine, program, component, deadline),
        }
    }
}

fn in_thread(
    engine: &Engine,
    component: &[u8],
    deadline: Duration,
) -> Result<Component, CompileError> {
    let (answer, answered) = mpsc::channel();
    let (engine, component) = (engine.clone(), component.to_vec());
    let compile = move || {
        // Whoever gave up listens no more.
        let _ = answer.send(Component::from_binary(&engine, &component));
    };
    let thread = std::thread::Builder::new().name("plugin-compiler".to_owned());
    thread
        .spawn(compile)
        .map_err(|cause| CompileError::Failed(format!("no thread: {cause}")))?;
    match answered.recv_timeout(deadline) {
        Ok(compiled) => {
            compiled.map_err(|cause| CompileError::Invalid(quote(&format!("{cause:#}"))))
        }
        Err(mpsc::RecvTimeoutError::Timeout) => Err(CompileError::TooLong(deadline)),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(CompileError::Failed("the compiler panicked".to_owned()))
        }
    }
}

fn in_process(
    engine: &Engine,
    program: &PathBuf,
    component: &[u8],
    deadline: Duration,
) -> Result<Component, CompileError> {
    let failed = |cause: io::Error| {
        CompileError::Failed(format!("`{} {SUBCOMMAND}`: {cause}", program.display()))
    };
    let mut child = Command::new(program)
        .arg(SUBCOMMAND)
        .arg(deadline.as_secs().max(1).to_string())
        // What this process knows of passwords and keys is none of the compiler's business.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (code, complaint, ended) = std::thread::scope(|scope| {
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // A compiler that ends early says why on its standard error: that it doesn't listen is no news.
        scope.spawn(move || input.map(|mut input| input.write_all(component)));
        let code = scope.spawn(move || read(output, CODE_BYTES));
        let complaint = scope.spawn(move || read(errors, COMPLAINT_BYTES));
        let ended = wait(&mut child, deadline);
        let joined = |thread: std::thread::ScopedJoinHandle<'_, io::Result<Vec<u8>>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a reader panicked")))
        };
        (joined(code), joined(complaint), ended)
    });
    let Some(status) = ended.map_err(failed)? else {
        return Err(CompileError::TooLong(deadline));
    };
    let complaint = String::from_utf8_lossy(&complaint.map_err(failed)?).into_owned();
    match (
        status.code(),
        status.signal().and_then(Signal::from_named_raw),
    ) {
        (Some(0), _) => {}
        (Some(REFUSED), _) => return Err(CompileError::Invalid(quote(&complaint))),
        (_, Some(Signal::XCPU)) => return Err(CompileError::TooLong(deadline)),
        (_, Some(Signal::KILL | Signal::ABORT)) => {
            return Err(CompileError::Failed(format!(
                "the compiler was ended ({status}), most likely for want of memory: make the plugin smaller"
            )));
        }
        _ => {
            return Err(CompileError::Failed(quote(&format!(
                "{status}: {complaint}"
            ))));
        }
    }
    let code = code.map_err(failed)?;
    // SAFETY: `deserialize` demands bytes that `serialize` of this engine's version and settings wrote. They come over a pipe that only the
    // process holds that was just started here: this very program, which makes an engine of the same settings. Were it another version, its
    // header says so, and it is refused.
    let compiled = unsafe { Component::deserialize(engine, code) };
    compiled.map_err(|cause| CompileError::Failed(quote(&format!("{cause:#}"))))
}

fn read(from: Option<impl Read>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Waits for a process, which is killed at its deadline; none: it was.
fn wait(child: &mut Child, deadline: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// The exit code for a component that can't be compiled.
const REFUSED: i32 = 3;

/// What the process does that compiles: a component from standard input, its machine code to standard output. Limits itself first.
/// `seconds`: how long it may work; its threads may use so much CPU each.
pub fn compile_standard_input(seconds: u64) -> i32 {
    match compile_stdin(seconds) {
        Ok(()) => 0,
        Err((code, reason)) => {
            // There is nobody else to tell it to.
            let _ = writeln!(io::stderr(), "{reason}");
            code
        }
    }
}

fn compile_stdin(seconds: u64) -> Result<(), (i32, String)> {
    let failed = |cause: String| (1, cause);
    // Where memory is short, this process is the one to go.
    let _as_it_can = std::fs::write("/proc/self/oom_score_adj", "1000");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    for (resource, most) in [
        (
            Resource::Cpu,
            seconds.saturating_mul(cores).saturating_add(1),
        ),
        (Resource::As, ADDRESS_SPACE),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            // One second of CPU more, so that it ends by the signal that says why.
            maximum: Some(most.saturating_add(u64::from(resource == Resource::Cpu))),
        };
        setrlimit(resource, limit).map_err(|cause| failed(format!("its limits: {cause}")))?;
    }
    let mut component = Vec::new();
    io::stdin()
        .read_to_end(&mut component)
        .map_err(|cause| failed(cause.to_string()))?;
    let engine = Engine::new(&super::runtime::engine_config())
        .map_err(|cause| failed(format!("{cause:#}")))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|cause| (REFUSED, format!("{cause:#}")))?;
    io::stdout()
        .write_all(&code)
        .map_err(|cause| failed(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        Engine::new(&super::super::runtime::engine_config()).unwrap()
    }

    #[test]
    fn a_thread_compiles_or_is_given_up() {
        let component = wat::parse_str("(component)").unwrap();
        let compile = |bytes: &[u8], deadline| {
            Compiler::Thread.compile(&engine(), bytes, deadline, &Turn::default())
        };
        assert!(compile(&component, Duration::from_secs(60)).is_ok());
        assert!(matches!(
            compile(&component[..7], Duration::from_secs(60)),
            Err(CompileError::Invalid(_))
        ));
        assert!(matches!(
            compile(&component, Duration::ZERO),
            Err(CompileError::TooLong(_)) | Ok(_)
        ));
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_one_that_fails_is_quoted() {
        let compile = |program: &str, deadline| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("compiler");
            crate::files::write_whole(&path, 0o700, &[program.as_bytes()]).unwrap();
            Compiler::Program(path).compile(&engine(), b"component", deadline, &Turn::default())
        };
        let started = Instant::now();
        let hangs = compile("#!/bin/sh\nexec sleep 600\n", Duration::from_millis(300));
        assert!(matches!(hangs, Err(CompileError::TooLong(_))), "{hangs:?}");
        assert!(started.elapsed() < Duration::from_secs(300));
        let fails = compile(
            "#!/bin/sh\necho no room >&2; exit 1\n",
            Duration::from_secs(60),
        );
        assert!(
            matches!(&fails, Err(CompileError::Failed(reason)) if reason.contains("no room")),
            "{fails:?}"
        );
        let lies = compile("#!/bin/sh\ncat\n", Duration::from_secs(60));
        assert!(matches!(lies, Err(CompileError::Failed(_))), "{lies:?}");
    }
}
