//! Rust: `cargo build` for `wasm32-unknown-unknown`, the component encoded by the host itself.
//!
//! The guest is built in a target folder of its own (`plugin-build`), so that it never waits for the lock of a build that is going on around it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::tools::{last_lines, output};
use super::{BuildError, at, encode};
use crate::kit::project::Project;
use crate::transform::user_cache_dir;

/// The target that plugins are built for.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";
/// For size, unless the crate's `[profile.release]` says otherwise: half of a plugin is code that runs once.
const OPT_LEVEL: &str = "s";
/// What may be meant where the module is no plugin.
const HINT: &str = "does the crate export a plugin (`tidemill_sdk::export!`)?";

pub(super) fn component(project: &Project) -> Result<Vec<u8>, BuildError> {
    let toolchain = Toolchain::find(&project.folder)?;
    let package = toolchain.package(&project.folder)?;
    let module = toolchain.compile(&project.folder, &package)?;
    let bytes = std::fs::read(&module).map_err(at(&module))?;
    encode(&package.name, &bytes, HINT)
}

/// The name of a crate that is a plugin without a `tidemill-plugin.toml`, and its component's file: `<target folder>/plugins/<name>.wasm`, where
/// the crate's name loses the prefix `tidemill-`.
pub(in crate::kit) fn crate_output(folder: &Path) -> Result<(String, PathBuf), BuildError> {
    let package = Toolchain::find(folder)?.package(folder)?;
    let name = package
        .name
        .strip_prefix("tidemill-")
        .unwrap_or(&package.name)
        .to_owned();
    let file = package
        .target_dir
        .join("plugins")
        .join(format!("{name}.wasm"));
    Ok((name, file))
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
    workspace: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
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
        if let Ok(answer) = output(&mut ask) {
            let folder = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
            if answer.status.success() && has_files(&folder) {
                return Ok(Self { cargo, rustc: None });
            }
        }
        let private = user_cache_dir()
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
        let unreadable = |messages: String| BuildError::Tool {
            command: "cargo metadata".to_owned(),
            folder: dir.to_owned(),
            messages,
        };
        let answer =
            output(
                self.cargo(dir)
                    .args(["metadata", "--format-version", "1", "--no-deps"]),
            )?;
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
            workspace: metadata.workspace_root,
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
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                rustc_flags(&package.workspace).join("\x1f"),
            )
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_PROFILE_RELEASE_STRIP", "true");
        if !states_opt_level(&package.workspace) {
            command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", OPT_LEVEL);
        }
        let answer = output(&mut command)?;
        if !answer.status.success() {
            return Err(BuildError::Tool {
                command: "cargo build".to_owned(),
                folder: dir.to_owned(),
                messages: last_lines(&answer.stderr),
            });
        }
        module_of(&answer.stdout, &package.manifest)
            .ok_or_else(|| BuildError::NoModule(package.name.clone()))
    }
}

/// SIMD, and panics that name files without the folders of whoever built the plugin.
fn rustc_flags(workspace: &Path) -> Vec<String> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let remapped =
        |(folder, name): (&Path, &str)| format!("--remap-path-prefix={}={name}", folder.display());
    let registry = cargo_home.as_deref().map(|home| (home, "cargo"));
    let mut flags = vec!["-Ctarget-feature=+simd128,+bulk-memory".to_owned()];
    flags.extend(registry.into_iter().chain([(workspace, ".")]).map(remapped));
    flags
}

/// Whether the author has decided how far the release build is optimized.
fn states_opt_level(workspace: &Path) -> bool {
    let text = std::fs::read_to_string(workspace.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = text.parse().unwrap_or_default();
    let profile = manifest.get("profile").and_then(|all| all.get("release"));
    profile.is_some_and(|release| release.get("opt-level").is_some())
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
    fn an_author_decides_how_far_a_release_is_optimized() {
        let dir = tempfile::tempdir().unwrap();
        for (manifest, states) in [
            ("[package]\n", false),
            ("[profile.release]\nlto = true\n", false),
            ("[profile.release.package.a]\nopt-level = 3\n", false),
            ("[profile.release]\nopt-level = 3\n", true),
        ] {
            std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
            assert_eq!(states_opt_level(dir.path()), states, "{manifest}");
        }
    }

    #[test]
    fn a_crate_that_can_t_be_read_says_so() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "[package]\nname = 1\n").unwrap();
        let error = crate_output(dir.path()).unwrap_err();
        // Without the target's standard library it never gets as far as cargo.
        assert!(
            matches!(&error, BuildError::Tool { command, .. } if command == "cargo metadata")
                || matches!(error, BuildError::NoTarget),
            "{error}"
        );
    }
}
