/* The program of init: nothing but init, and no library that it does not need. Loading all that the whole of Nightmill
 * needs would take more time than the rest of a sandbox's start. Its bytes are part of Nightmill (init_image.h). */
#include "sandbox/sandbox.h"

int main(int argc, char **argv)
{
    return sandbox_init_main(argc, argv);
}
