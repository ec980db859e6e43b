//! NaNs: those that a guest makes have one form on every machine, those that pass through keep the bits that they came with.

use arrow::array::{Float32Array, Float64Array};
use arrow::datatypes::{Float32Type, Float64Type};

use super::*;

/// NaNs with payloads, quiet and signalling, of both signs.
const WIDE: [u64; 4] = [
    0x7ff8_0000_dead_beef,
    0xfff8_0000_0000_0001,
    0x7ff0_0000_0000_0001,
    0xfff4_dead_beef_cafe,
];
const NARROW: [u32; 4] = [0x7fc0_beef, 0xffc0_0001, 0x7f80_0001, 0xffa0_beef];

/// Instructions that make a NaN of the number on the stack, of the type `f64` or `f32`.
const ARITHMETIC: [&str; 17] = [
    "(f.add (f.const 1))",
    "(f.sub (f.const 1))",
    "(f.mul (f.const 3))",
    "(f.div (f.const 3))",
    "(f.min (f.const 3))",
    "(f.max (f.const 3))",
    "(f.sqrt)",
    "(f.ceil)",
    "(f.floor)",
    "(f.trunc)",
    "(f.nearest)",
    "(f.convert)",
    "(v.splat) (v.add (v.splat (f.const 1))) (v.extract_lane 1)",
    "(v.splat) (v.sqrt) (v.extract_lane 0)",
    "(v.splat) (v.relaxed_madd (v.splat (f.const 2)) (v.splat (f.const 1))) (v.extract_lane 1)",
    "(v.splat) (v.relaxed_min (v.splat (f.const 2))) (v.extract_lane 1)",
    // Whatever went in: none of the numbers was one.
    "(drop) (f.div (f.const 0) (f.const 0))",
];

/// Gives a column of floats back, after these instructions on each row's value.
fn guest(wide: bool, per_row: &[String]) -> Script {
    let (float, size) = if wide { ("f64", 8) } else { ("f32", 4) };
    let data = "(i32.load offset=20 (local.get 1))";
    let code = per_row.iter().enumerate().map(|(row, code)| {
        let at = row * size;
        format!("{data} ({float}.load offset={at} {data}) {code} {float}.store offset={at}\n")
    });
    Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), computed("c", if wide { 10 } else { 9 })],
        before: [String::new(), String::new(), code.collect()],
        process: Answer::Echo,
        ..Script::default()
    }
}

/// The instructions for one type. In folded text operands come first: here they are on the stack already.
fn instructions(wide: bool) -> Vec<String> {
    let (float, vector, convert) = match wide {
        true => ("f64.", "f64x2.", "f32.demote_f64 f64.promote_f32"),
        false => ("f32.", "f32x4.", "f64.promote_f32 f32.demote_f64"),
    };
    ARITHMETIC
        .iter()
        .map(|code| {
            code.replace("(f.convert)", convert)
                .replace("(f.", &format!("({float}"))
                .replace("(v.", &format!("({vector}"))
        })
        .collect()
}

fn transformed(script: &Script, column: ArrayRef) -> ArrayRef {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("a", column.data_type().clone(), false),
    ];
    let table = TableShape {
        schema: Arc::new(Schema::new(fields)),
        ..numbers()
    };
    let ids: PrimitiveArray<Int64Type> = (0..column.len() as i64).collect();
    let batch = RecordBatch::try_new(table.schema.clone(), vec![Arc::new(ids), column]).unwrap();
    let chain = Chain::bind(&runtime(), &table, &[step(script)]).unwrap();
    let applied = chain.instance().apply(batch, &"1").unwrap();
    applied.batch.column(1).clone()
}

fn wide(script: &Script, bits: &[u64]) -> Vec<u64> {
    let column: Float64Array = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
    let column = Float64Array::new(column.values().clone(), None);
    let answer = transformed(script, Arc::new(column));
    let answer = answer.as_primitive::<Float64Type>().values().clone();
    answer.iter().map(|value| value.to_bits()).collect()
}

fn narrow(script: &Script, bits: &[u32]) -> Vec<u32> {
    let column: Float32Array = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
    let column = Float32Array::new(column.values().clone(), None);
    let answer = transformed(script, Arc::new(column));
    let answer = answer.as_primitive::<Float32Type>().values().clone();
    answer.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_nan_that_a_guest_makes_has_one_form() {
    for nan in WIDE {
        let made = wide(&guest(true, &instructions(true)), &[nan; ARITHMETIC.len()]);
        for (code, made) in ARITHMETIC.iter().zip(made) {
            assert_eq!(made, 0x7ff8_0000_0000_0000, "{code} of {nan:x}: {made:x}");
        }
    }
    for nan in NARROW {
        let made = narrow(
            &guest(false, &instructions(false)),
            &[nan; ARITHMETIC.len()],
        );
        for (code, made) in ARITHMETIC.iter().zip(made) {
            assert_eq!(made, 0x7fc0_0000, "{code} of {nan:x}: {made:x}");
        }
    }
}

#[test]
fn a_nan_that_passes_through_is_the_one_that_came() {
    // Untouched, and loaded and stored as a number.
    for code in [vec![], vec![String::new(); 4]] {
        assert_eq!(wide(&guest(true, &code), &WIDE), WIDE);
        assert_eq!(narrow(&guest(false, &code), &NARROW), NARROW);
    }
}
