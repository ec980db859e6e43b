/* What tidemill.h declares. */
#include "tidemill.h"

#include <stdlib.h>
#include <string.h>

/* A plugin that has no memory left ends with a trap; the host tells the limit. */
static void *claim(void *old, size_t bytes) {
  void *memory = realloc(old, bytes ? bytes : 1);
  if (!memory) __builtin_trap();
  return memory;
}

static plugin_string_t copied(tidemill_bytes text) {
  plugin_string_t copy = {claim(NULL, text.length), text.length};
  memcpy(copy.ptr, text.data, text.length);
  return copy;
}

tidemill_bytes tidemill_of(const char *text) { return (tidemill_bytes){text, strlen(text)}; }

bool tidemill_equal(tidemill_bytes one, tidemill_bytes other) {
  return one.length == other.length && memcmp(one.data, other.data, one.length) == 0;
}

void tidemill_log(const char *message) {
  plugin_string_t text = copied(tidemill_of(message));
  tidemill_transform_log_log(TIDEMILL_TRANSFORM_LOG_LEVEL_INFO, &text);
  free(text.ptr);
}

/* ---- The configuration. The host has checked that it is JSON, so a value ends where its brackets do. ---- */

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
  return at;
}

/* Behind the value that begins here. */
static const char *skip_value(const char *at, const char *end) {
  int depth = 0;
  bool quoted = false;
  for (; at < end; at++) {
    if (quoted) {
      if (*at == '\\') at++;
      else if (*at == '"') {
        quoted = false;
        if (depth == 0) return at + 1;
      }
    } else if (*at == '"') {
      quoted = true;
    } else if (*at == '{' || *at == '[') {
      depth++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (*at == ',' && depth == 0) {
      return at;
    }
  }
  return end;
}

/* The value of a name in an object; no data if it isn't there. */
static tidemill_bytes value_of(tidemill_bytes object, const char *name) {
  const char *end = object.data + object.length, *at = skip_space(object.data, end);
  size_t length = strlen(name);
  if (at == end || *at != '{') return (tidemill_bytes){NULL, 0};
  for (at = skip_space(at + 1, end); at < end && *at == '"'; at = skip_space(at, end)) {
    const char *key = at + 1, *behind = skip_value(at, end);
    bool found = (size_t)(behind - 1 - key) == length && memcmp(key, name, length) == 0;
    at = skip_space(behind, end);
    if (at < end && *at == ':') at = skip_space(at + 1, end);
    const char *value = at;
    at = skip_value(at, end);
    if (found) return (tidemill_bytes){value, (size_t)(at - value)};
    at = skip_space(at, end);
    if (at < end && *at == ',') at = skip_space(at + 1, end);
  }
  return (tidemill_bytes){NULL, 0};
}

static unsigned hex4(const char *at) {
  unsigned code = 0;
  for (int i = 0; i < 4; i++) {
    char digit = at[i];
    code = code * 16 + (unsigned)(digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
  }
  return code;
}

static char *put_utf8(char *out, unsigned code) {
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xc0 | code >> 6);
    *out++ = (char)(0x80 | (code & 63));
  } else if (code < 0x10000) {
    *out++ = (char)(0xe0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 63));
    *out++ = (char)(0x80 | (code & 63));
  } else {
    *out++ = (char)(0xf0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 63));
    *out++ = (char)(0x80 | (code >> 6 & 63));
    *out++ = (char)(0x80 | (code & 63));
  }
  return out;
}

/* A JSON text without its quotes and escapes, in memory of its own. */
static tidemill_bytes unquoted(tidemill_bytes value) {
  char *text = claim(NULL, value.length), *out = text;
  const char *at = value.data + 1, *end = value.data + value.length - 1;
  while (at < end) {
    if (*at != '\\') {
      *out++ = *at++;
      continue;
    }
    char escape = at[1];
    at += 2;
    if (escape == 'u') {
      unsigned code = hex4(at);
      at += 4;
      if (code >= 0xd800 && code < 0xdc00 && at + 6 <= end) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(at + 2) - 0xdc00);
        at += 6;
      }
      out = put_utf8(out, code);
    } else {
      *out++ = escape == 'n' ? '\n' : escape == 't' ? '\t' : escape == 'r' ? '\r' : escape == 'b' ? '\b' : escape == 'f' ? '\f' : escape;
    }
  }
  return (tidemill_bytes){text, (size_t)(out - text)};
}

tidemill_bytes tidemill_config_text(tidemill_bytes config, const char *name, const char *otherwise) {
  tidemill_bytes value = value_of(config, name);
  return value.length >= 2 && *value.data == '"' ? unquoted(value) : tidemill_of(otherwise);
}

double tidemill_config_number(tidemill_bytes config, const char *name, double otherwise) {
  tidemill_bytes value = value_of(config, name);
  if (value.length == 0 || !(*value.data == '-' || (*value.data >= '0' && *value.data <= '9'))) return otherwise;
  char *text = claim(NULL, value.length + 1);
  memcpy(text, value.data, value.length);
  text[value.length] = 0;
  double number = strtod(text, NULL);
  free(text);
  return number;
}

bool tidemill_config_bool(tidemill_bytes config, const char *name, bool otherwise) {
  tidemill_bytes value = value_of(config, name);
  if (value.length == 0 || (*value.data != 't' && *value.data != 'f')) return otherwise;
  return *value.data == 't';
}

/* The item of this number in a list; no data if there are fewer. `number` loses those that are there. */
static tidemill_bytes item_of(tidemill_bytes list, size_t *number) {
  const char *end = list.data + list.length, *at = list.data;
  if (!at || *at != '[') return (tidemill_bytes){NULL, 0};
  for (at = skip_space(at + 1, end); at < end && *at != ']';) {
    const char *value = at;
    at = skip_value(at, end);
    if ((*number)-- == 0) return (tidemill_bytes){value, (size_t)(at - value)};
    at = skip_space(at, end);
    if (at < end && *at == ',') at = skip_space(at + 1, end);
  }
  return (tidemill_bytes){NULL, 0};
}

size_t tidemill_config_count(tidemill_bytes config, const char *name) {
  size_t left = SIZE_MAX;
  item_of(value_of(config, name), &left);
  return SIZE_MAX - left;
}

tidemill_bytes tidemill_config_item(tidemill_bytes config, const char *name, size_t number) {
  tidemill_bytes item = item_of(value_of(config, name), &number);
  return item.length >= 2 && *item.data == '"' ? unquoted(item) : (tidemill_bytes){"", 0};
}

/* ---- bind ---- */

int32_t tidemill_position(const tidemill_table *table, tidemill_bytes name) {
  for (size_t i = 0; i < table->fields.len; i++) {
    plugin_string_t field = table->fields.ptr[i].name;
    if (tidemill_equal(name, (tidemill_bytes){(const char *)field.ptr, field.len})) return (int32_t)i;
  }
  return -1;
}

static void pass_all(const tidemill_table *table, tidemill_binding *binding) {
  memset(binding, 0, sizeof *binding);
  binding->output.len = table->fields.len;
  binding->output.ptr = claim(NULL, table->fields.len * sizeof *binding->output.ptr);
  for (size_t i = 0; i < table->fields.len; i++) {
    exports_tidemill_transform_transform_out_column_t *column = &binding->output.ptr[i];
    memset(column, 0, sizeof *column);
    column->tag = EXPORTS_TIDEMILL_TRANSFORM_TRANSFORM_OUT_COLUMN_PASS;
    column->val.pass.f0 = (uint32_t)i;
  }
}

void tidemill_read(tidemill_binding *binding, uint32_t position) {
  binding->reads.ptr = claim(binding->reads.ptr, (binding->reads.len + 1) * sizeof *binding->reads.ptr);
  binding->reads.ptr[binding->reads.len++] = position;
}

/* The binding is freed by itself, and so has a zone of its own. */
static tidemill_type copied_type(tidemill_type type) {
  if (type.tag == TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_TIMESTAMP_US && type.val.timestamp_us.is_some) {
    plugin_string_t zone = type.val.timestamp_us.val;
    type.val.timestamp_us.val = copied((tidemill_bytes){(const char *)zone.ptr, zone.len});
  }
  return type;
}

void tidemill_change(const tidemill_table *table, tidemill_binding *binding, uint32_t position) {
  const tidemill_field *source = &table->fields.ptr[position];
  exports_tidemill_transform_transform_out_column_t *column = &binding->output.ptr[position];
  column->tag = EXPORTS_TIDEMILL_TRANSFORM_TRANSFORM_OUT_COLUMN_COMPUTED;
  column->val.computed = *source;
  column->val.computed.name = copied((tidemill_bytes){(const char *)source->name.ptr, source->name.len});
  column->val.computed.data_type = copied_type(source->data_type);
}

void tidemill_add(tidemill_binding *binding, tidemill_bytes name, uint8_t type, bool nullable) {
  tidemill_add_type(binding, name, &(tidemill_type){.tag = type}, nullable);
}

void tidemill_add_type(tidemill_binding *binding, tidemill_bytes name, const tidemill_type *type, bool nullable) {
  size_t count = binding->output.len + 1;
  binding->output.ptr = claim(binding->output.ptr, count * sizeof *binding->output.ptr);
  exports_tidemill_transform_transform_out_column_t *column = &binding->output.ptr[binding->output.len++];
  memset(column, 0, sizeof *column);
  column->tag = EXPORTS_TIDEMILL_TRANSFORM_TRANSFORM_OUT_COLUMN_COMPUTED;
  column->val.computed.name = copied(name);
  column->val.computed.data_type = copied_type(*type);
  column->val.computed.nullable = nullable;
}

bool tidemill_refuse(tidemill_error *error, const char *reason) {
  error->tag = EXPORTS_TIDEMILL_TRANSFORM_TRANSFORM_ERROR_SCHEMA;
  error->val.schema = copied(tidemill_of(reason));
  return false;
}

/* ---- process ---- */

bool tidemill_is_null(const tidemill_column *column, uint32_t row) {
  return column->validity.is_some && !(column->validity.val.ptr[row >> 3] >> (row & 7) & 1);
}

tidemill_bytes tidemill_cell(const tidemill_column *column, uint32_t row) {
  const uint32_t *offsets = (const uint32_t *)column->offsets.ptr;
  return (tidemill_bytes){(const char *)column->data.ptr + offsets[row], offsets[row + 1] - offsets[row]};
}

static size_t bitmap_bytes(uint32_t rows) { return (rows + 7) / 8; }

tidemill_texts tidemill_texts_of(uint32_t rows) {
  tidemill_texts texts = {.rows = rows, .room = (size_t)rows * 16};
  texts.validity = claim(NULL, bitmap_bytes(rows));
  memset(texts.validity, 0, bitmap_bytes(rows));
  texts.offsets = claim(NULL, ((size_t)rows + 1) * 4);
  texts.offsets[0] = 0;
  texts.data = claim(NULL, texts.room);
  return texts;
}

void tidemill_push(tidemill_texts *texts, tidemill_bytes value) {
  if (texts->length + value.length > texts->room) {
    texts->room = (texts->length + value.length) * 2;
    texts->data = claim(texts->data, texts->room);
  }
  memcpy(texts->data + texts->length, value.data, value.length);
  texts->length += value.length;
  texts->validity[texts->at >> 3] |= (uint8_t)(1 << (texts->at & 7));
  texts->offsets[++texts->at] = (uint32_t)texts->length;
}

void tidemill_push_null(tidemill_texts *texts) { texts->offsets[++texts->at] = (uint32_t)texts->length; }

static tidemill_column *next_column(tidemill_output *output) {
  output->columns.ptr = claim(output->columns.ptr, (output->columns.len + 1) * sizeof *output->columns.ptr);
  tidemill_column *column = &output->columns.ptr[output->columns.len++];
  memset(column, 0, sizeof *column);
  return column;
}

void tidemill_give_texts(tidemill_output *output, tidemill_texts *texts) {
  tidemill_column *column = next_column(output);
  column->validity.is_some = true;
  column->validity.val.ptr = texts->validity;
  column->validity.val.len = bitmap_bytes(texts->rows);
  column->offsets.ptr = (uint8_t *)texts->offsets;
  column->offsets.len = ((size_t)texts->rows + 1) * 4;
  column->data.ptr = texts->data;
  column->data.len = texts->length;
}

void tidemill_give(tidemill_output *output, uint8_t *validity, size_t validity_bytes, void *data, size_t bytes) {
  tidemill_column *column = next_column(output);
  column->validity.is_some = validity != NULL;
  column->validity.val.ptr = validity;
  column->validity.val.len = validity_bytes;
  column->data.ptr = data;
  column->data.len = bytes;
}

void tidemill_leave_out(tidemill_output *output, uint32_t rows, uint32_t row) {
  if (!output->keep.is_some) {
    size_t bytes = bitmap_bytes(rows);
    output->keep.is_some = true;
    output->keep.val.ptr = claim(NULL, bytes);
    output->keep.val.len = bytes;
    memset(output->keep.val.ptr, 0xff, bytes);
    if (rows & 7) output->keep.val.ptr[bytes - 1] = (uint8_t)((1 << (rows & 7)) - 1);
  }
  output->keep.val.ptr[row >> 3] &= (uint8_t)~(1 << (row & 7));
}

void tidemill_reject(tidemill_output *output, uint32_t row, const char *reason) {
  output->rejected.ptr = claim(output->rejected.ptr, (output->rejected.len + 1) * sizeof *output->rejected.ptr);
  exports_tidemill_transform_transform_rejection_t *rejection = &output->rejected.ptr[output->rejected.len++];
  rejection->row = row;
  rejection->reason = copied(tidemill_of(reason));
}

bool tidemill_condemn(tidemill_error *error, const char *reason) {
  error->tag = EXPORTS_TIDEMILL_TRANSFORM_TRANSFORM_ERROR_DATA;
  error->val.data = copied(tidemill_of(reason));
  return false;
}

/* ---- The contract's functions ---- */

void exports_tidemill_transform_transform_describe(tidemill_description *told) {
  told->name = copied(tidemill_of(tidemill_name));
  told->version = copied(tidemill_of(tidemill_version));
  told->summary = copied(tidemill_of(tidemill_summary));
  told->config_schema = copied(tidemill_of(tidemill_schema));
}

bool exports_tidemill_transform_transform_bind(tidemill_table *table, plugin_string_t *config, tidemill_binding *binding, tidemill_error *error) {
  pass_all(table, binding);
  bool bound = tidemill_bind(table, (tidemill_bytes){(const char *)config->ptr, config->len}, binding, error);
  exports_tidemill_transform_transform_table_free(table);
  plugin_string_free(config);
  return bound;
}

bool exports_tidemill_transform_transform_process(uint32_t rows, exports_tidemill_transform_transform_list_column_t *columns, tidemill_output *output,
                                                  tidemill_error *error) {
  memset(output, 0, sizeof *output);
  bool done = tidemill_process(rows, columns->ptr, output, error);
  exports_tidemill_transform_transform_list_column_free(columns);
  return done;
}
