"""The same interface in a browser: a server on loopback (`server`), who may come in (`door`), the app's process
(`process`), and the app's end of the wire (`driver`). The page's terminal is textual-serve's; nothing comes from
elsewhere."""
