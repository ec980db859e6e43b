/* Write a Tidemill transform in C: implement the three functions at the end of this file, build it with `tidemill plugin build`.
 *
 * A column is Arrow's memory, little-endian: `data` has the values (a bitmap for boolean), `offsets` has rows + 1 numbers of 4 bytes for text, bytes and
 * lists, `validity` a bitmap with 1 for a value, least significant bit first. Numbers of fixed size are read where they are:
 * `((const int64_t *)column->data.ptr)[row]`.
 *
 * The same batch must give the same answer, always. Memory, strings and mathematics of the C library may be used; files, clocks and standard streams are
 * not there. Memory of arguments is freed when a function returns; what is given back is the host's.
 */
#ifndef TIDEMILL_H
#define TIDEMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"

/* Short names for the contract's types. */
typedef tidemill_transform_types_data_type_t tidemill_type;
typedef tidemill_transform_types_field_t tidemill_field;
typedef tidemill_transform_types_column_t tidemill_column;
typedef exports_tidemill_transform_transform_description_t tidemill_description;
typedef exports_tidemill_transform_transform_table_t tidemill_table;
typedef exports_tidemill_transform_transform_binding_t tidemill_binding;
typedef exports_tidemill_transform_transform_output_t tidemill_output;
typedef exports_tidemill_transform_transform_error_t tidemill_error;

/* Bytes that are somebody else's, without a 0 at their end. */
typedef struct {
  const char *data;
  size_t length;
} tidemill_bytes;

/* Bytes of a text with a 0 at its end. */
tidemill_bytes tidemill_of(const char *text);
bool tidemill_equal(tidemill_bytes one, tidemill_bytes other);

/* Writes to the host's log. Never log values of rows. */
void tidemill_log(const char *message);

/* ---- The configuration, a JSON object ---- */

/* A text of the configuration, in memory that stays; `otherwise` if it isn't there. */
tidemill_bytes tidemill_config_text(tidemill_bytes config, const char *name, const char *otherwise);
/* A number or a truth of the configuration; `otherwise` if it isn't there. Whole numbers are exact up to 2^53. */
double tidemill_config_number(tidemill_bytes config, const char *name, double otherwise);
bool tidemill_config_bool(tidemill_bytes config, const char *name, bool otherwise);
/* How many texts a list of the configuration has, and the one of this number. */
size_t tidemill_config_count(tidemill_bytes config, const char *name);
tidemill_bytes tidemill_config_item(tidemill_bytes config, const char *name, size_t number);

/* ---- bind ---- */

/* The position of a column; -1 if there is none. */
int32_t tidemill_position(const tidemill_table *table, tidemill_bytes name);
/* Every column passes by, until one of these says more. The column of this position is given to `process`. */
void tidemill_read(tidemill_binding *binding, uint32_t position);
/* `process` gives the column of this position back, under the same name and type. */
void tidemill_change(const tidemill_table *table, tidemill_binding *binding, uint32_t position);
/* `process` gives back a new column, behind the others. `type` is a TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_... without parameters. */
void tidemill_add(tidemill_binding *binding, tidemill_bytes name, uint8_t type, bool nullable);
/* The same for any type: of a column of the table (`&table->fields.ptr[position].data_type`), or with its parameters:
 *
 *   {.tag = TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_DECIMAL128, .val.decimal128 = {10, 2}}     digits in all, and behind the point
 *   {.tag = TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_FIXED_BINARY, .val.fixed_binary = 16}      bytes
 *   {.tag = TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_TIMESTAMP_US, .val.timestamp_us = {true, {(uint8_t *)"UTC", 3}}}
 */
void tidemill_add_type(tidemill_binding *binding, tidemill_bytes name, const tidemill_type *type, bool nullable);
/* Ends `bind`: `return tidemill_refuse(error, "there is no column `email`");` */
bool tidemill_refuse(tidemill_error *error, const char *reason);

/* ---- process ---- */

bool tidemill_is_null(const tidemill_column *column, uint32_t row);
/* The text or bytes of a row. */
tidemill_bytes tidemill_cell(const tidemill_column *column, uint32_t row);

/* A column of text or bytes that is being made, row by row. */
typedef struct {
  uint32_t rows, at;
  uint8_t *validity;
  uint32_t *offsets;
  uint8_t *data;
  size_t length, room;
} tidemill_texts;

tidemill_texts tidemill_texts_of(uint32_t rows);
void tidemill_push(tidemill_texts *texts, tidemill_bytes value);
void tidemill_push_null(tidemill_texts *texts);
/* Gives a finished column to the output; the columns come in the binding's order. */
void tidemill_give_texts(tidemill_output *output, tidemill_texts *texts);
/* The same for a column whose memory, of malloc, is made by the plugin; `validity` may be NULL. */
void tidemill_give(tidemill_output *output, uint8_t *validity, size_t validity_bytes, void *data, size_t bytes);
/* Leaves a row out. The binding must say `filters`. */
void tidemill_leave_out(tidemill_output *output, uint32_t rows, uint32_t row);
/* The row can't be transformed: why, without values of it. What is made for it doesn't matter. */
void tidemill_reject(tidemill_output *output, uint32_t row, const char *reason);
/* Ends `process`: the whole batch is condemned. */
bool tidemill_condemn(tidemill_error *error, const char *reason);

/* ---- What a plugin implements ---- */

/* Name, version, summary and the JSON Schema of the configuration. */
extern const char *const tidemill_name, *const tidemill_version, *const tidemill_summary, *const tidemill_schema;
/* Looks at a table once: true, or `tidemill_refuse`. */
bool tidemill_bind(const tidemill_table *table, tidemill_bytes config, tidemill_binding *binding, tidemill_error *error);
/* Transforms a batch of at most 65,536 rows, with the columns that the binding reads: true, or `tidemill_condemn`. */
bool tidemill_process(uint32_t rows, const tidemill_column *columns, tidemill_output *output, tidemill_error *error);

#endif
