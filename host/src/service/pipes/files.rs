//! Files that a tenant uploads for a pipe: the reference tables of its transforms, the certificate authority of its source.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::digest::Digest;
use crate::files::write_whole;
use crate::pipe::FILES;
use crate::service::Service;
use crate::service::auth::Caller;
use crate::service::problem::Problem;
use crate::service::store::FileRecord;
use crate::service::uploads::{Uploaded, too_much};

impl Service {
    fn uploaded_file(&self, caller: &Caller, pipe: &str, name: &str) -> PathBuf {
        self.pipe_folder(&caller.pipe(pipe)).join(FILES).join(name)
    }

    /// Keeps a file for a pipe, in place of one of its name.
    pub(in crate::service) async fn put_file(
        self: &Arc<Self>,
        caller: &Caller,
        pipe: &str,
        name: &str,
        sent: Uploaded,
    ) -> Result<FileRecord, Problem> {
        let (pipe, name) = (pipe.to_owned(), name.to_owned());
        let keep = move |service: &Arc<Self>, caller: &Caller| {
            service.keep_file(caller, &pipe, &name, &sent)
        };
        self.on_disk(caller, keep).await
    }

    fn keep_file(
        &self,
        caller: &Caller,
        pipe: &str,
        name: &str,
        sent: &Uploaded,
    ) -> Result<FileRecord, Problem> {
        self.pipe_record(caller, pipe)?;
        check_file_name(name)?;
        let record = FileRecord {
            name: name.to_owned(),
            digest: Digest::of(&sent.bytes).hex().to_owned(),
            bytes: sent.bytes.len() as u64,
            uploaded: Timestamp::now(),
        };
        let file = self.uploaded_file(caller, pipe, name);
        let folder = file.parent().unwrap_or(&self.data);
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(folder)?;
        let most = self.most_uploaded(caller)?;
        if !caller.store(self).put_file(pipe, &record, most)? {
            return Err(too_much(most));
        }
        write_whole(&file, 0o600, &[&sent.bytes])?;
        Ok(record)
    }

    /// Removes a file that the pipe's settings don't name.
    pub(in crate::service) async fn remove_file(
        self: &Arc<Self>,
        caller: &Caller,
        pipe: &str,
        name: &str,
    ) -> Result<(), Problem> {
        let (pipe, name) = (pipe.to_owned(), name.to_owned());
        let drop =
            move |service: &Arc<Self>, caller: &Caller| service.drop_file(caller, &pipe, &name);
        self.on_disk(caller, drop).await
    }

    fn drop_file(&self, caller: &Caller, pipe: &str, name: &str) -> Result<(), Problem> {
        let (_, settings) = self.pipe_of(caller, pipe)?;
        let missing = || Problem::not_found("file", name);
        check_file_name(name).map_err(|_| missing())?;
        let file = self.uploaded_file(caller, pipe, name);
        if settings.files().any(|used| used == file) {
            let detail = format!("the pipe's settings name `{FILES}/{name}`");
            return Err(Problem::conflict(detail).suggest("take it out of them first"));
        }
        if !caller.store(self).remove_file(pipe, name)? {
            return Err(missing());
        }
        std::fs::remove_file(file)?;
        Ok(())
    }
}

fn check_file_name(name: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=100).contains(&name.len()) && !name.starts_with('.') && name.chars().all(fits) {
        true => Ok(()),
        false => Err(Problem::unusable(
            "a file's name has 1 to 100 letters, digits, `-`, `_` or `.`, and begins with none of the dots",
        )),
    }
}
