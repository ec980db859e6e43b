//! JavaScript and TypeScript: rolldown makes one module of the plugin and what it imports (and takes the types off), jco puts it into a component with
//! QuickJS, without imports.

use std::path::Path;
use std::process::Command;

use super::tools::{self, Tool};
use super::{BuildError, WIT, WIT_FILE, WORLD, at, write};
use crate::kit::project::Project;

/// What `package.json` of the templates names, installed in the plugin's folder.
const INSTALL: &str = "npm install";
/// The contract's log, which is the host's and not in the bundle.
const LOG: &str = "tidemill:transform/log@0.1.0";

const ROLLDOWN: Tool = Tool {
    name: "rolldown",
    language: "JavaScript or TypeScript",
    variable: "TIDEMILL_ROLLDOWN",
    in_project: &["node_modules/.bin/rolldown"],
    in_cache: "node/node_modules/.bin/rolldown",
    install: INSTALL,
};
const JCO: Tool = Tool {
    name: "jco",
    language: "JavaScript or TypeScript",
    variable: "TIDEMILL_JCO",
    in_project: &["node_modules/.bin/jco"],
    in_cache: "node/node_modules/.bin/jco",
    install: INSTALL,
};

pub(super) fn component(project: &Project) -> Result<Vec<u8>, BuildError> {
    let (rolldown, jco) = (ROLLDOWN.find(&project.folder)?, JCO.find(&project.folder)?);
    let build = project.build_folder();
    write(&build.join(WIT_FILE), WIT)?;
    write(&build.join("component.js"), glue(&project.source))?;
    bundle(project, &rolldown)?;
    let mut command = Command::new(jco);
    command
        // jco finds the contract below the folder that it runs in.
        .current_dir(&build)
        .args(["componentize", "bundle.js", "--wit", "wit", "-n", WORLD])
        .args([
            "--backend",
            "quickjs",
            "--backend-qjs-stub-wasi",
            "--backend-qjs-disable-async",
        ])
        .args(["-o", "component.wasm"]);
    tools::run(&mut command, "jco componentize", &project.folder)?;
    let out = build.join("component.wasm");
    let component = std::fs::read(&out).map_err(at(&out))?;
    std::fs::remove_file(&out).map_err(at(&out))?;
    Ok(component)
}

fn glue(source: &Path) -> String {
    let source = serde_json::Value::from(format!("../{}", source.display()));
    format!(
        "import * as log from \"{LOG}\";\nimport {{ component }} from \"../sdk/tidemill.js\";\nimport Plugin from {source};\n\n\
         export const transform = component(Plugin, log);\n"
    )
}

fn bundle(project: &Project, rolldown: &Path) -> Result<(), BuildError> {
    let mut command = Command::new(rolldown);
    command
        .current_dir(&project.folder)
        .args(["build/component.js", "--external", LOG])
        .args(["--file", "build/bundle.js", "--format", "esm"]);
    tools::run(&mut command, "rolldown", &project.folder).map(drop)
}
