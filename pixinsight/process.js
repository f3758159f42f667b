// Process instances: set parameters by name, execute, and check the result.
//
// ECMAScript 5 only: PixInsight 1.8.9 to 1.9.3 run these files in SpiderMonkey 24, 1.9.4 and
// later in V8 if the script has the directive for it.

// The number of an item of an enumeration. Constants are on the prototype in the old engine and on
// the constructor in V8. An undefined value would cause errors later, so it is an error here.
function constant(Process, name) {
   var value = Process[name];
   if (value === undefined)
      value = Process.prototype[name];
   if (typeof value !== "number")
      throw new Error("this version of PixInsight has no item '" + name + "' for this process");
   return value;
}

// Set one parameter; a string for a numeric parameter is the name of an item of its enumeration.
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

// Set those parameters that this version has; for parameters that were added in 1.9.
function setKnownParameters(process, Process, parameters) {
   for (var name in parameters)
      if (name in process)
         setParameter(process, Process, name, parameters[name]);
}

// A process fails by returning false or by throwing an error; both are errors here.
function execute(process, name) {
   if (process.executeGlobal() !== true)
      throw new Error(name + " failed; the reason is in the console output");
}
