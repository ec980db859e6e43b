//! The contract's types and calls, as `wit/transform.wit` has them: the only place where the two sides of the boundary share a word.
//!
//! What goes in borrows (a [`Column`] lends Arrow's buffers to the call), what comes out owns and is called `Raw...`: nothing of it is
//! checked yet; [`super::lift`], [`super::binding`] and [`super::plugin`] do that. The types are written out because `bindgen!` can't
//! generate the borrowed form of a type that is used across interfaces. wasmtime compares them with the component's own when a plugin is linked.

use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, ComponentType, Func, InstancePre, Lift, Lower,
};
use wasmtime_wasi::runtime::in_tokio;

/// The interface that a plugin exports, without its version.
pub(super) const TRANSFORM_NAME: &str = "tidemill:transform/transform";
/// The version of the contract that this host speaks.
pub(super) const VERSION: &str = "0.1.0";
/// What a plugin exports.
pub(super) const TRANSFORM: &str = "tidemill:transform/transform@0.1.0";
/// The one interface that the host implements.
pub(super) const LOG: &str = "tidemill:transform/log@0.1.0";
/// An interface of types alone, which an author's tools may list as an import.
pub(super) const TYPES: &str = "tidemill:transform/types@0.1.0";

/// Declares the variant `data-type` once for each direction: its one difference is who owns the time zone's name.
macro_rules! data_type {
    ($(#[$meta:meta])* $name:ident $(<$life:lifetime>)?, $text:ty) => {
        $(#[$meta])*
        #[component(variant)]
        pub(super) enum $name $(<$life>)? {
            #[component(name = "boolean")]
            Boolean,
            #[component(name = "int8")]
            Int8,
            #[component(name = "int16")]
            Int16,
            #[component(name = "int32")]
            Int32,
            #[component(name = "int64")]
            Int64,
            #[component(name = "uint8")]
            Uint8,
            #[component(name = "uint16")]
            Uint16,
            #[component(name = "uint32")]
            Uint32,
            #[component(name = "uint64")]
            Uint64,
            #[component(name = "float32")]
            Float32,
            #[component(name = "float64")]
            Float64,
            #[component(name = "decimal128")]
            Decimal128((u8, i8)),
            #[component(name = "decimal256")]
            Decimal256((u8, i8)),
            #[component(name = "date32")]
            Date32,
            #[component(name = "time64-us")]
            Time64Us,
            #[component(name = "timestamp-us")]
            TimestampUs(Option<$text>),
            #[component(name = "utf8")]
            Utf8,
            #[component(name = "binary")]
            Binary,
            #[component(name = "fixed-binary")]
            FixedBinary(u32),
            #[component(name = "float32-list")]
            Float32List,
        }
    };
}

data_type! {
    /// A type, on its way in.
    #[derive(Clone, Copy, Debug, ComponentType, Lower)]
    DataType<'a>, &'a str
}

data_type! {
    /// A type, as a guest declares it.
    #[derive(Clone, Debug, ComponentType, Lift)]
    RawDataType, String
}

/// A table's column, on its way in.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    #[component(name = "data-type")]
    pub(super) data_type: DataType<'a>,
    pub(super) nullable: bool,
}

/// A column, as a guest declares it.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct RawField {
    pub(super) name: String,
    #[component(name = "data-type")]
    pub(super) data_type: RawDataType,
    pub(super) nullable: bool,
}

/// A column's buffers, lent to a call.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct Column<'a> {
    pub(super) validity: Option<&'a [u8]>,
    pub(super) offsets: &'a [u8],
    pub(super) data: &'a [u8],
}

/// A column's buffers, as a guest gave them.
#[derive(Clone, Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(super) struct RawColumn {
    pub(super) validity: Option<Vec<u8>>,
    pub(super) offsets: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// A table, on its way in.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct Table<'a> {
    pub(super) database: &'a str,
    pub(super) name: &'a str,
    pub(super) fields: &'a [Field<'a>],
    pub(super) key: &'a [u32],
}

/// A log line's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "wasmtime makes them, out of a guest's number")]
pub(super) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// An answer to `describe`.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct RawDescription {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    #[component(name = "config-schema")]
    pub(super) config_schema: String,
}

/// A column of an output.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum RawOutColumn {
    #[component(name = "pass")]
    Pass((u32, Option<String>)),
    #[component(name = "computed")]
    Computed(RawField),
}

/// An answer to `bind`.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct RawBinding {
    pub(super) reads: Vec<u32>,
    pub(super) output: Vec<RawOutColumn>,
    pub(super) filters: bool,
}

/// A refusal.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum RawError {
    #[component(name = "config")]
    Config(String),
    #[component(name = "schema")]
    Schema(String),
    #[component(name = "data")]
    Data(String),
}

/// A rejected row.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct RawRejection {
    pub(super) row: u32,
    pub(super) reason: String,
}

/// An answer to `process`.
#[derive(Clone, Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(super) struct RawOutput {
    pub(super) columns: Vec<RawColumn>,
    pub(super) keep: Option<Vec<u8>>,
    pub(super) rejected: Vec<RawRejection>,
}

/// A linked component with the places of its three functions.
pub(super) struct Prepared<T: 'static> {
    pre: InstancePre<T>,
    describe: ComponentExportIndex,
    bind: ComponentExportIndex,
    process: ComponentExportIndex,
    /// Whether it may wait in the host.
    waits: bool,
}

/// The three functions of an instance.
pub(super) struct Exports {
    describe: Func,
    bind: Func,
    process: Func,
    way: Way,
}

/// How a guest is called.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// On this thread's stack: it imports nothing that waits.
    Direct,
    /// On a stack of its own, which is given up when it still waits in the host after this time.
    Waiting(Duration),
}

/// A guest was still waiting in the host at its deadline.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it was still waiting")]
pub(super) struct StillWaiting;

impl Way {
    fn wait<R>(
        limit: Duration,
        call: impl Future<Output = wasmtime::Result<R>>,
    ) -> wasmtime::Result<R> {
        in_tokio(async {
            match tokio::time::timeout(limit, call).await {
                Ok(answer) => answer,
                Err(_) => Err(wasmtime::Error::new(StillWaiting)),
            }
        })
    }
}

impl<T: Send + 'static> Prepared<T> {
    /// Finds the functions; an error names what is missing.
    pub(super) fn new(pre: InstancePre<T>, waits: bool) -> wasmtime::Result<Self> {
        let component = pre.component();
        let interface = component
            .get_export_index(None, TRANSFORM)
            .ok_or_else(|| missing(TRANSFORM))?;
        let find = |name: &str| {
            component
                .get_export_index(Some(&interface), name)
                .ok_or_else(|| missing(name))
        };
        let (describe, bind, process) = (find("describe")?, find("bind")?, find("process")?);
        Ok(Self {
            pre,
            describe,
            bind,
            process,
            waits,
        })
    }

    /// A new store's engine.
    pub(super) fn engine(&self) -> &wasmtime::Engine {
        self.pre.engine()
    }

    /// Makes an instance, whose calls may take so long, and compares its functions' types with the contract's.
    pub(super) fn instantiate(
        &self,
        store: &mut Store<T>,
        deadline: Duration,
    ) -> wasmtime::Result<Exports> {
        let (way, instance) = match self.waits {
            false => (Way::Direct, self.pre.instantiate(&mut *store)?),
            true => {
                let made = Way::wait(deadline, self.pre.instantiate_async(&mut *store))?;
                (Way::Waiting(deadline), made)
            }
        };
        let mut find = |index, name| {
            instance
                .get_func(&mut *store, index)
                .ok_or_else(|| missing(name))
        };
        let exports = Exports {
            describe: find(&self.describe, "describe")?,
            bind: find(&self.bind, "bind")?,
            process: find(&self.process, "process")?,
            way,
        };
        exports.describe.typed::<(), (RawDescription,)>(&*store)?;
        exports
            .bind
            .typed::<(Table<'_>, &str), (Result<RawBinding, RawError>,)>(&*store)?;
        exports
            .process
            .typed::<(u32, &[Column<'_>]), (Result<RawOutput, RawError>,)>(&*store)?;
        Ok(exports)
    }
}

fn missing(name: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it has no function `{name}`"))
}

impl Exports {
    pub(super) fn describe<T: Send>(
        &self,
        store: &mut Store<T>,
    ) -> wasmtime::Result<RawDescription> {
        self.call(&self.describe, store, ())
    }

    pub(super) fn bind<T: Send>(
        &self,
        store: &mut Store<T>,
        table: Table<'_>,
        config: &str,
    ) -> wasmtime::Result<Result<RawBinding, RawError>> {
        self.call(&self.bind, store, (table, config))
    }

    pub(super) fn process<T: Send>(
        &self,
        store: &mut Store<T>,
        rows: u32,
        columns: &[Column<'_>],
    ) -> wasmtime::Result<Result<RawOutput, RawError>> {
        self.call(&self.process, store, (rows, columns))
    }

    fn call<T: Send, P, R>(
        &self,
        function: &Func,
        store: &mut Store<T>,
        parameters: P,
    ) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower,
        R: 'static,
        (R,): ComponentNamedList + Lift,
    {
        let function = function.typed::<P, (R,)>(&*store)?;
        let answer = match self.way {
            Way::Direct => function.call(store, parameters),
            Way::Waiting(limit) => Way::wait(limit, function.call_async(store, parameters)),
        };
        answer.map(|(answer,)| answer)
    }
}
