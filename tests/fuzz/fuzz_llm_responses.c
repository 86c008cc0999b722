/* Fuzz target: answers of a model server in the dialect "responses". */
#include "llm_answer.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    return fuzz_answer("responses", data, size);
}
