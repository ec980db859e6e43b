/* Tidies e-mail addresses: in small letters, without spaces around them, and with their domain in a column of its own. */
#include <stdlib.h>
#include <string.h>

#include "tidemill.h"

const char *const tidemill_name = "{{name}}";
const char *const tidemill_version = "0.1.0";
const char *const tidemill_summary = "tidies e-mail addresses, and puts their domain into a column of its own";
/* The settings that a pipe file may give; the host checks them before it starts. */
const char *const tidemill_schema =
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "\"column\": {\"type\": \"string\", \"default\": \"email\", \"description\": \"the column with the address\"},"
    "\"drop_domains\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"default\": [],"
    " \"description\": \"rows with an address at one of these are left out\"}}}";

/* The settings of this instance: it serves one table. */
static tidemill_bytes *drop_domains;
static size_t drop_count;

/* Asked once a table: which columns are read, which come out. All others pass by untouched. */
bool tidemill_bind(const tidemill_table *table, tidemill_bytes config, tidemill_binding *binding, tidemill_error *error) {
  tidemill_bytes column = tidemill_config_text(config, "column", "email");
  int32_t position = tidemill_position(table, column);
  if (position < 0) return tidemill_refuse(error, "the table has no column of the name that `column` says");
  if (table->fields.ptr[position].data_type.tag != TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_UTF8)
    return tidemill_refuse(error, "the column that `column` names is no text, and an address is one");
  tidemill_read(binding, (uint32_t)position);
  tidemill_change(table, binding, (uint32_t)position);

  char *name = malloc(column.length + sizeof "_domain");
  memcpy(name, column.data, column.length);
  memcpy(name + column.length, "_domain", sizeof "_domain");
  tidemill_add(binding, tidemill_of(name), TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_UTF8, true);

  drop_count = tidemill_config_count(config, "drop_domains");
  drop_domains = malloc((drop_count + 1) * sizeof *drop_domains);
  for (size_t i = 0; i < drop_count; i++) drop_domains[i] = tidemill_config_item(config, "drop_domains", i);
  binding->filters = drop_count > 0;
  return true;
}

static tidemill_bytes trimmed(tidemill_bytes text) {
  while (text.length && text.data[0] == ' ') text.data++, text.length--;
  while (text.length && text.data[text.length - 1] == ' ') text.length--;
  return text;
}

static bool is_dropped(tidemill_bytes domain) {
  for (size_t i = 0; i < drop_count; i++)
    if (tidemill_equal(domain, drop_domains[i])) return true;
  return false;
}

/* Called once a batch: gives back the two columns of the binding, in its order. */
bool tidemill_process(uint32_t rows, const tidemill_column *columns, tidemill_output *output, tidemill_error *error) {
  (void)error;
  tidemill_texts addresses = tidemill_texts_of(rows), domains = tidemill_texts_of(rows);
  char *small = malloc(columns[0].data.len + 1);
  for (uint32_t row = 0; row < rows; row++) {
    if (tidemill_is_null(&columns[0], row)) {
      tidemill_push_null(&addresses);
      tidemill_push_null(&domains);
      continue;
    }
    tidemill_bytes given = trimmed(tidemill_cell(&columns[0], row));
    for (size_t i = 0; i < given.length; i++) {
      char letter = given.data[i];
      small[i] = letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter;
    }
    tidemill_bytes address = {small, given.length};
    const char *at = memchr(small, '@', given.length);
    tidemill_bytes domain = {at ? at + 1 : small, at ? (size_t)(small + given.length - at - 1) : 0};
    if (!at)
      tidemill_reject(output, row, "no address: an @ is missing");
    else if (is_dropped(domain))
      tidemill_leave_out(output, rows, row);
    tidemill_push(&addresses, address);
    tidemill_push(&domains, domain);
  }
  free(small);
  tidemill_give_texts(output, &addresses);
  tidemill_give_texts(output, &domains);
  return true;
}
