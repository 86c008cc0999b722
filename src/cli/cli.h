/* The command line. Commands are clients: they prepare, ask the daemon and show; they do not decide. */
#pragma once
int cli_main(int argc, char **argv); /* the exit status */
