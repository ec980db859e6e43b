//! C, by zig (or clang with wasi-libc): the contract's glue is made here, the compiler makes a core module, and the component is encoded here.

use std::path::{Path, PathBuf};
use std::process::Command;

use wit_bindgen_core::{Files, wit_parser as glue};
use wit_component::StringEncoding;
use wit_parser::{Resolve, WorldId};

use super::tools::{self, Tool};
use super::{BuildError, WIT, WORLD, at, encode, write};
use crate::kit::project::Project;

const HINT: &str = "a plugin in C may use memory, strings and mathematics of the C library, and no files, clocks or standard streams: log with `tidemill_log`";

const ZIG: Tool = Tool {
    name: "zig",
    language: "C",
    variable: "TIDEMILL_ZIG",
    in_project: &[".venv/bin/python-zig"],
    in_cache: "python/bin/python-zig",
    install: "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1",
};
const CLANG: Tool = Tool {
    name: "clang",
    language: "C",
    variable: "TIDEMILL_CLANG",
    in_project: &[],
    in_cache: "clang/bin/clang",
    install: "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32",
};
/// What the glue asks the linker for, so that an object file with the contract's types comes along: here the types are put into the module.
const LINK: &str = "void __component_type_object_force_link_plugin(void);\nvoid __component_type_object_force_link_plugin(void) {}\n";
const LINK_FILE: &str = "link.c";
/// Where Debian's wasi-libc has its headers.
const WASI_HEADERS: &str = "/usr/include/wasm32-wasi";

pub(super) fn component(project: &Project) -> Result<Vec<u8>, BuildError> {
    let mut compiler = compiler(&project.folder)?;
    let (resolve, world) = contract();
    let build = project.build_folder();
    write_glue(&build.join("c"))?;
    compiler
        .current_dir(&project.folder)
        .args([
            "-mexec-model=reactor",
            "-O3",
            "-msimd128",
            "-s",
            "-Wall",
            "-Wextra",
        ])
        .args(["-I", "build/c", "-I", "sdk"])
        .args(sources(project)?)
        .args([
            "sdk/tidemill.c",
            "build/c/plugin.c",
            "build/c/link.c",
            "-o",
            "build/core.wasm",
        ]);
    tools::run(&mut compiler, "the C compiler", &project.folder)?;
    let core = build.join("core.wasm");
    let mut module = std::fs::read(&core).map_err(at(&core))?;
    let embedded =
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8);
    embedded.map_err(|cause| BuildError::Encode {
        name: project.name.clone(),
        reason: format!("{cause:#}"),
        hint: HINT,
    })?;
    encode(&project.name, &module, HINT)
}

/// zig, which has all that it needs with it; else clang, where there is a C library for it.
fn compiler(folder: &Path) -> Result<Command, BuildError> {
    let missing = match ZIG.find(folder) {
        Ok(zig) => {
            let mut command = Command::new(zig);
            command.args(["cc", "-target", "wasm32-wasi"]);
            return Ok(command);
        }
        Err(missing) => missing,
    };
    match CLANG.find(folder) {
        Ok(clang) if Path::new(WASI_HEADERS).is_dir() => {
            let mut command = Command::new(clang);
            command.args(["--target=wasm32-wasi"]);
            Ok(command)
        }
        _ => Err(missing),
    }
}

/// The contract, parsed.
///
/// # Panics
/// Never: the text is a part of this program, and a test parses it.
fn contract() -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("transform.wit", WIT);
    let package = package.expect("the contract's own text");
    let world = resolve.select_world(&[package], Some(WORLD));
    (resolve, world.expect("the contract's own world"))
}

/// Writes `plugin.h` and `plugin.c`: the contract's types and functions for C.
fn write_glue(folder: &Path) -> Result<(), BuildError> {
    let mut files = Files::default();
    // The generator's parser is a newer one than the encoder's.
    let mut resolve = glue::Resolve::default();
    let options = wit_bindgen_c::Opts {
        no_object_file: true,
        ..wit_bindgen_c::Opts::default()
    };
    let package = resolve.push_str("transform.wit", WIT);
    let made = package
        .and_then(|package| resolve.select_world(&[package], Some(WORLD)))
        .and_then(|world| options.build().generate(&mut resolve, world, &mut files));
    made.map_err(|cause| BuildError::Encode {
        name: WORLD.to_owned(),
        reason: format!("{cause:#}"),
        hint: HINT,
    })?;
    for (name, text) in files.iter() {
        write(&folder.join(name), text)?;
    }
    write(&folder.join(LINK_FILE), LINK)
}

/// The C files of the folder that the plugin's source is in.
fn sources(project: &Project) -> Result<Vec<PathBuf>, BuildError> {
    let folder = project.source.parent().unwrap_or(Path::new(""));
    let here = project.folder.join(folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&here).map_err(at(&here))? {
        let path = entry.map_err(at(&here))?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            files.push(folder.join(path.file_name().unwrap_or_default()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_glue_is_made() {
        let folder = tempfile::tempdir().unwrap();
        contract();
        write_glue(folder.path()).unwrap();
        let header = std::fs::read_to_string(folder.path().join("plugin.h")).unwrap();
        assert!(
            header.contains("exports_tidemill_transform_transform_process"),
            "{header}"
        );
        let glue = std::fs::read_to_string(folder.path().join("plugin.c")).unwrap();
        assert!(
            glue.contains("__component_type_object_force_link_plugin"),
            "the name that `LINK` has"
        );
    }
}
