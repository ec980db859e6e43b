//! The command line: reads what was typed, calls the lifecycle, and says what it answered. It holds no logic of its own.
//!
//! Beside the lifecycle it knows the plugins' builder and the embedded server, for `tidemill plugin` and `tidemill clickhouse`.

mod arguments;
mod ask;
mod commands;
mod documents;
mod exit;
mod init;
mod plugin;
mod printer;
mod progress;
mod remote;
mod serve;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::telemetry::{self, Traces};
use crate::transform::{Compiler, compile_standard_input};
use arguments::{Arguments, Command};
use exit::Failure;
use printer::Printer;

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let traces = match arguments.command.is_traced() {
        true => Traces::of_environment(),
        false => Ok(Traces::none()),
    };
    let (traces, untraced) = match traces {
        Ok(traces) => (traces, None),
        Err(error) => (Traces::none(), Some(error)),
    };
    // What is under way is sent at the end.
    let _traces = telemetry::start(&arguments.log, arguments.log_format, traces);
    if let Some(error) = untraced {
        tracing::error!(%error, "nothing is traced: the variables OTEL_… can't be used");
    }
    let printer = Printer::new(arguments.command.name(), arguments.output);
    let done = run(&arguments, &printer);
    match done {
        Ok(code) => code.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(arguments: &Arguments, printer: &Printer) -> Result<exit::Exit, Failure> {
    Compiler::offer();
    let is_remote = arguments.server.server.is_some();
    match &arguments.command {
        // The library sets signal handlers of its own: it gets the process before any thread is started.
        Command::Clickhouse(server) => commands::clickhouse(server),
        Command::CompilePlugin { seconds } => std::process::exit(compile_standard_input(*seconds)),
        Command::Plugin { command } if !(command.is_of_service() && is_remote) => {
            plugin::run(command, &arguments.pipe, printer)
        }
        Command::Serve(settings) => serve::serve(settings, printer),
        Command::Tenant { data, command } => serve::tenant(&data.data, command, printer),
        Command::Rekey {
            data,
            key_file,
            new_key_file,
        } => serve::rekey(&data.data, key_file.as_deref(), new_key_file, printer),
        Command::Types { markdown } => {
            commands::types(*markdown, printer);
            Ok(exit::Exit::Ok)
        }
        Command::Completions { shell } => {
            documents::completions(*shell);
            Ok(exit::Exit::Ok)
        }
        Command::Man { folder } => {
            documents::man_pages(folder)
                .map_err(|cause| Failure::usage(format!("{}: {cause}", folder.display())))?;
            Ok(exit::Exit::Ok)
        }
        command => {
            let runtime =
                tokio::runtime::Runtime::new().map_err(|cause| Failure::internal(&cause))?;
            let (pipe, server) = (&arguments.pipe, &arguments.server);
            match (&server.server, command) {
                (Some(_), command) => runtime.block_on(remote::run(command, server, pipe, printer)),
                (None, Command::Pipe { .. }) => Err(Failure::usage(
                    "the pipes of a service are meant: name it with --server",
                )),
                (None, command) => runtime.block_on(commands::run(command, pipe, printer)),
            }
        }
    }
}
