local registry = require("registry")
