/* A plugin that reads a setting of each kind, and adds a column of each type that has parameters. */
#include <stdlib.h>
#include <string.h>

#include "tidemill.h"

const char *const tidemill_name = "tidy", *const tidemill_version = "1.0.0", *const tidemill_summary = "";
const char *const tidemill_schema =
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "\"factor\": {\"type\": \"number\"}, \"share\": {\"type\": \"number\"}, \"negative\": {\"type\": \"boolean\"}, \"upper\": {\"type\": \"boolean\"}}}";

static int64_t factor;
static uint8_t letter;

bool tidemill_bind(const tidemill_table *table, tidemill_bytes config, tidemill_binding *binding, tidemill_error *error) {
  if (tidemill_config_number(config, "share", 0) != -1.25e-1) return tidemill_refuse(error, "another `share`");
  factor = (int64_t)tidemill_config_number(config, "factor", 3);
  if (tidemill_config_bool(config, "negative", true)) factor = -factor;
  letter = tidemill_config_bool(config, "upper", false) ? 'A' : 'a';
  tidemill_read(binding, (uint32_t)tidemill_position(table, tidemill_of("id")));
  tidemill_type price = {.tag = TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_DECIMAL128, .val.decimal128 = {10, 2}};
  tidemill_type code = {.tag = TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_FIXED_BINARY, .val.fixed_binary = 2};
  tidemill_type at = {.tag = TIDEMILL_TRANSFORM_TYPES_DATA_TYPE_TIMESTAMP_US, .val.timestamp_us = {true, {(uint8_t *)"UTC", 3}}};
  tidemill_add_type(binding, tidemill_of("price"), &price, false);
  tidemill_add_type(binding, tidemill_of("code"), &code, false);
  tidemill_add_type(binding, tidemill_of("at"), &at, false);
  tidemill_add_type(binding, tidemill_of("copy"), &table->fields.ptr[0].data_type, false);
  return true;
}

bool tidemill_process(uint32_t rows, const tidemill_column *columns, tidemill_output *output, tidemill_error *error) {
  (void)error;
  const int64_t *ids = (const int64_t *)columns[0].data.ptr;
  int64_t *prices = malloc(rows * 16), *moments = malloc(rows * 8), *copies = malloc(rows * 8);
  uint8_t *codes = malloc(rows * 2);
  for (uint32_t row = 0; row < rows; row++) {
    prices[row * 2] = ids[row] * factor;
    prices[row * 2 + 1] = prices[row * 2] < 0 ? -1 : 0;
    codes[row * 2] = codes[row * 2 + 1] = letter;
    moments[row] = copies[row] = ids[row];
  }
  tidemill_give(output, NULL, 0, prices, rows * 16);
  tidemill_give(output, NULL, 0, codes, rows * 2);
  tidemill_give(output, NULL, 0, moments, rows * 8);
  tidemill_give(output, NULL, 0, copies, rows * 8);
  return true;
}
