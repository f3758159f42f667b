// Process instances: setting parameters by name, running, and never believing silence.
//
// ECMAScript 5 only: PixInsight 1.8.9 to 1.9.3 run these files in SpiderMonkey 24, 1.9.4 and
// later in V8 where the script asks for it.

// The number of an enumeration's item. Constants are on the prototype in the old engine and on
// the constructor in V8; assigning undefined would fail far from here, so it is never returned.
function constant(Process, name) {
   var value = Process[name];
   if (value === undefined)
      value = Process.prototype[name];
   if (typeof value !== "number")
      throw new Error("this version of PixInsight has no item '" + name + "' for this process");
   return value;
}

// Set one parameter; where it is a number and a name is given, the name is an enumeration's item.
function setParameter(process, Process, name, value) {
   if (!(name in process))
      throw new Error("this version of PixInsight has no parameter '" + name + "'");
   var isItem = typeof process[name] === "number" && typeof value === "string";
   process[name] = isItem ? constant(Process, value) : value;
}

function setParameters(process, Process, parameters) {
   for (var name in parameters)
      setParameter(process, Process, name, parameters[name]);
}

// Set the parameters among `parameters` that this version has; for those that came with 1.9.
function setKnownParameters(process, Process, parameters) {
   for (var name in parameters)
      if (name in process)
         setParameter(process, Process, name, parameters[name]);
}

// A process says that it failed by returning false or by throwing: both end here as an error.
function execute(process, name) {
   if (process.executeGlobal() !== true)
      throw new Error(name + " failed; its reason is in the console's log");
}
