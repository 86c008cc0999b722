/* The roles that this program re-executes itself in. */
#pragma once
int role_keeper(int argc, char **argv);  /* keeper DATA */
int role_server(int argc, char **argv);  /* server DATA KEEPER_PID [ADDRESS]... */
int role_proxy(int argc, char **argv);   /* proxy DATA */
int role_machine(int argc, char **argv); /* machine DATA UID_BASE */
int role_runner(int argc, char **argv);  /* runner DATA TASK */
int role_shell(int argc, char **argv);   /* terminal DATA TASK SESSION SCROLLBACK */
