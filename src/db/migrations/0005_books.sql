-- How far the file of the books (src/store/books.h) stands in the tables. store_id tells it from the file of another database.
CREATE TABLE books (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0)
) STRICT;
