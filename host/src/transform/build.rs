//! From a Rust crate to a plugin: `cargo build` for `wasm32-unknown-unknown`, the component encoded by the host itself, and loaded once to prove it.
//!
//! The guest is built in a target folder of its own (`plugin-build`), so that it never waits for the lock of a build that is going on around it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use wit_component::ComponentEncoder;

use super::error::TransformError;
use super::plugin::Plugin;
use super::runtime::Runtime;
use crate::files::write_whole;

/// The target that plugins are built for.
const TARGET: &str = "wasm32-unknown-unknown";
/// Lines of a failed build's messages that the error repeats.
const MESSAGE_LINES: usize = 60;

/// A plugin that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component's file.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// How long it took, from the compiler's start to the check.
    pub duration: Duration,
    /// The plugin, loaded.
    pub plugin: Arc<Plugin>,
}

/// Why a plugin could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no crate.
    #[error("`{}` is no Rust crate: it has no `Cargo.toml`; for other languages encode the component with the language's own tool", .0.display())]
    NoCrate(PathBuf),
    /// No standard library for the target.
    #[error(
        "Rust has no standard library for `{TARGET}` here: install it with `rustup target add {TARGET}`, or, where rustup can't download, with `tests/provision/wasm-target` of Tidemill's repository"
    )]
    NoTarget,
    /// A program could not be run.
    #[error(
        "`{program}` can't be run: {source}; Rust is needed to build a plugin from a crate (https://rustup.rs)"
    )]
    Program {
        /// The program.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// Cargo failed.
    #[error("`cargo {command}` failed in `{}`:\n{messages}", .dir.display())]
    Cargo {
        /// The subcommand.
        command: &'static str,
        /// The crate.
        dir: PathBuf,
        /// The end of its messages.
        messages: String,
    },
    /// The crate has no library for a plugin.
    #[error(
        "the crate `{0}` makes no WebAssembly module: its `Cargo.toml` needs `[lib]` with `crate-type = [\"cdylib\"]`"
    )]
    NoModule(String),
    /// The module is no plugin.
    #[error(
        "the module of `{package}` can't be made a component: {reason}; does the crate export a plugin (`tidemill_sdk::export!`)?"
    )]
    Encode {
        /// The crate's name.
        package: String,
        /// What the encoder says.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("`{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The component was built and is no plugin; nothing was written.
    #[error("the component was built, and isn't kept: {0}")]
    Unusable(#[from] TransformError),
}

/// Builds the crate in `dir`. The component goes to `out`, by default `<target folder>/plugins/<name>.wasm` where a crate's name loses the prefix
/// `tidemill-`. A file that is there is replaced only by a plugin that loads.
pub fn build(runtime: &Runtime, dir: &Path, out: Option<&Path>) -> Result<Built, BuildError> {
    let started = Instant::now();
    if !dir.join("Cargo.toml").is_file() {
        return Err(BuildError::NoCrate(dir.to_owned()));
    }
    let toolchain = Toolchain::find(dir)?;
    let package = toolchain.package(dir)?;
    let module = toolchain.compile(dir, &package)?;
    let component = encode(&module, &package)?;
    let path = out.map_or_else(|| package.default_out(), Path::to_owned);
    let plugin = runtime.load_bytes(&path, &component)?;
    let failed = |source| BuildError::File {
        path: path.clone(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    write_whole(&path, 0o644, &[&component]).map_err(failed)?;
    let (size_bytes, digest) = (component.len() as u64, plugin.digest().to_owned());
    Ok(Built {
        path,
        size_bytes,
        digest,
        duration: started.elapsed(),
        plugin,
    })
}

fn encode(module: &Path, package: &Package) -> Result<Vec<u8>, BuildError> {
    let bytes = std::fs::read(module).map_err(|source| BuildError::File {
        path: module.to_owned(),
        source,
    })?;
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|cause| BuildError::Encode {
        package: package.name.clone(),
        reason: format!("{cause:#}"),
    })
}

/// A cargo and a rustc that can build for the target.
struct Toolchain {
    cargo: OsString,
    /// Set where the compiler is not the one that cargo would take.
    rustc: Option<OsString>,
}

/// What matters of the crate.
struct Package {
    name: String,
    manifest: PathBuf,
    target_dir: PathBuf,
}

impl Package {
    fn default_out(&self) -> PathBuf {
        let name = self.name.strip_prefix("tidemill-").unwrap_or(&self.name);
        self.target_dir.join("plugins").join(format!("{name}.wasm"))
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
}

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Toolchain {
    /// The installed toolchain where it has the target; else the private one that `tests/provision/wasm-target` makes.
    fn find(dir: &Path) -> Result<Self, BuildError> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut ask = Command::new(&rustc);
        ask.args(["--print", "target-libdir", "--target", TARGET])
            .current_dir(dir);
        if let Ok(answer) = run(&mut ask) {
            let folder = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
            if answer.status.success() && has_files(&folder) {
                return Ok(Self { cargo, rustc: None });
            }
        }
        let private = super::user_cache_dir()
            .map(|dir| dir.join("wasm-toolchain"))
            .filter(|dir| dir.join("cargo").is_file());
        match private {
            Some(dir) => Ok(Self {
                cargo: dir.join("cargo").into(),
                rustc: Some(dir.join("rustc").into()),
            }),
            None => Err(BuildError::NoTarget),
        }
    }

    fn cargo(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(dir);
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc).env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }

    fn package(&self, dir: &Path) -> Result<Package, BuildError> {
        let unreadable = |messages: String| BuildError::Cargo {
            command: "metadata",
            dir: dir.to_owned(),
            messages,
        };
        let answer = run(self
            .cargo(dir)
            .args(["metadata", "--format-version", "1", "--no-deps"]))?;
        if !answer.status.success() {
            return Err(unreadable(last_lines(&answer.stderr)));
        }
        let metadata: Metadata = serde_json::from_slice(&answer.stdout)
            .map_err(|cause| unreadable(cause.to_string()))?;
        let manifest =
            dir.join("Cargo.toml")
                .canonicalize()
                .map_err(|source| BuildError::File {
                    path: dir.join("Cargo.toml"),
                    source,
                })?;
        let is_this = |package: &MetadataPackage| {
            package
                .manifest_path
                .canonicalize()
                .is_ok_and(|path| path == manifest)
        };
        let package = metadata
            .packages
            .into_iter()
            .find(is_this)
            .ok_or_else(|| unreadable("`Cargo.toml` names no package".to_owned()))?;
        Ok(Package {
            name: package.name,
            manifest,
            target_dir: metadata.target_directory,
        })
    }

    /// Builds the crate; the core module's file.
    fn compile(&self, dir: &Path, package: &Package) -> Result<PathBuf, BuildError> {
        let mut command = self.cargo(dir);
        command
            .args([
                "build",
                "--release",
                "--lib",
                "--target",
                TARGET,
                "--message-format",
                "json-render-diagnostics",
                "--manifest-path",
            ])
            .arg(&package.manifest)
            .arg("--target-dir")
            .arg(package.target_dir.join("plugin-build"))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .env("RUSTFLAGS", "-Ctarget-feature=+simd128,+bulk-memory")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_PROFILE_RELEASE_STRIP", "true");
        let answer = run(&mut command)?;
        if !answer.status.success() {
            return Err(BuildError::Cargo {
                command: "build",
                dir: dir.to_owned(),
                messages: last_lines(&answer.stderr),
            });
        }
        module_of(&answer.stdout, &package.manifest)
            .ok_or_else(|| BuildError::NoModule(package.name.clone()))
    }
}

/// The `.wasm` file among a build's messages that comes from this manifest.
fn module_of(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    let messages = messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let of_this = |message: &Message| {
        message.reason == "compiler-artifact" && message.manifest_path.as_deref() == Some(manifest)
    };
    let is_module = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    messages
        .filter(of_this)
        .flat_map(|message| message.filenames)
        .find(is_module)
}

fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn run(command: &mut Command) -> Result<Output, BuildError> {
    command.output().map_err(|source| BuildError::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

fn last_lines(messages: &[u8]) -> String {
    let text = String::from_utf8_lossy(messages);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(MESSAGE_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_by_its_manifest() {
        let messages = br#"{"reason":"compiler-artifact","manifest_path":"/a/Cargo.toml","filenames":["/t/a.wasm"]}
not json
{"reason":"compiler-artifact","manifest_path":"/b/Cargo.toml","filenames":["/t/libb.rlib","/t/b.wasm"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            module_of(messages, Path::new("/b/Cargo.toml")),
            Some(PathBuf::from("/t/b.wasm"))
        );
        assert_eq!(module_of(messages, Path::new("/c/Cargo.toml")), None);
    }

    #[test]
    fn a_folder_without_a_crate_and_a_crate_that_fails_say_so() {
        let runtime = Runtime::new(super::super::RuntimeSettings::default()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let error = build(&runtime, dir.path(), None).unwrap_err();
        assert!(matches!(error, BuildError::NoCrate(_)), "{error}");
        std::fs::write(dir.path().join("Cargo.toml"), "[package]\nname = 1\n").unwrap();
        let error = build(&runtime, dir.path(), None).unwrap_err();
        // Without the target's standard library it never gets as far as cargo.
        assert!(
            matches!(
                error,
                BuildError::Cargo {
                    command: "metadata",
                    ..
                } | BuildError::NoTarget
            ),
            "{error}"
        );
    }
}
