/* The bytes of the small program that is init inside a sandbox, put here by the build (meson.build of this room). */
#pragma once
extern const char nightmill_init_image[], nightmill_init_image_end[];
