/* The description of the interface as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), made from the register of
 * routes (routes.def), the parameters and schemas of schemas.def, and the paths of the model dialects. Prose is in
 * api.md. No state. */
#pragma once
#include "base/json.h"

void openapi_write(struct json_out *o);
