/* What embed.py makes of the folder sample/. Private to the sample. */
#pragma once
struct sample_file {
    const char *path, *text; /* path NULL: the end */
};
extern const struct sample_file sample_files[];
extern const char sample_recording[], sample_text[], sample_check[];
