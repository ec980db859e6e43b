//! Python, by componentize-py: the interpreter, the plugin and what it imports, in one component without imports.

use std::process::Command;

use super::tools::{self, Tool};
use super::{BuildError, WIT, WIT_FILE, WORLD, at, write};
use crate::kit::project::Project;

const COMPONENTIZE: Tool = Tool {
    name: "componentize-py",
    language: "Python",
    variable: "TIDEMILL_COMPONENTIZE_PY",
    in_project: &[".venv/bin/componentize-py"],
    in_cache: "python/bin/componentize-py",
    install: "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
};

pub(super) fn component(project: &Project) -> Result<Vec<u8>, BuildError> {
    let tool = COMPONENTIZE.find(&project.folder)?;
    let build = project.build_folder();
    let module = project
        .source
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let source = project
        .source
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    write(&build.join(WIT_FILE), WIT)?;
    let glue = format!(
        "from {module} import Plugin\nfrom tidemill.component import make\n\nTransform = make(Plugin)\n"
    );
    write(&build.join("component.py"), glue)?;
    let out = build.join("component.wasm");
    let mut command = Command::new(&tool);
    command
        .current_dir(&project.folder)
        .args([
            "-d",
            "build/wit",
            "-w",
            WORLD,
            "componentize",
            "--stub-wasi",
        ])
        .args(["-p", "build", "-p"])
        .arg(source.unwrap_or(".".as_ref()))
        .args(["-p", "sdk", "component", "-o", "build/component.wasm"])
        // A virtual environment's own packages come along.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let environment = project.folder.join(".venv");
    if environment.is_dir() {
        let environment = std::path::absolute(&environment).map_err(at(&environment))?;
        command.env("VIRTUAL_ENV", environment);
    }
    tools::run(&mut command, "componentize-py", &project.folder)?;
    let component = std::fs::read(&out).map_err(at(&out))?;
    std::fs::remove_file(&out).map_err(at(&out))?;
    Ok(component)
}
