// PixInsight's JavaScript objects for the scripts. Every property and every call is passed to Python
// (core.py), which checks it.

(function (global) {
   "use strict";
   var pass = global.call_python, remotes = new WeakMap(), Wrapper = global.Proxy;
   var newBigInt = global.BigInt;
   var descriptor = Object.getOwnPropertyDescriptor;

   function encode(value) {
      if (value === null)
         return { type: "null" };
      if (remotes.has(value))
         return { type: "remote", value: remotes.get(value) };
      if (Array.isArray(value))
         return { type: "array", value: value.map(encode) };
      if (typeof value === "number" && !isFinite(value))
         return { type: "number", value: String(value) };
      if (typeof value === "object" || typeof value === "function")
         return { type: typeof value };
      if (typeof value === "bigint")
         return { type: "bigint", value: String(value) };
      return { type: typeof value, value: value };
   }

   function decode(value, owner) {
      if (Array.isArray(value))
         return value.map(function (item) { return decode(item, owner); });
      if (value === null || typeof value !== "object")
         return value;
      if (value.is === "undefined")
         return undefined;
      if (value.is === "bigint")
         return newBigInt(value.value);
      if (value.is === "method")
         return method(owner, value.name);
      if (value.is === "class")
         return remote(value.id, function () {});
      return remote(value.id, {});
   }

   function ask(operation, id, name, values) {
      var request = [operation, id, name, values.map(encode)];
      var answer = JSON.parse(pass("answer", JSON.stringify(request)));
      if (answer.error)
         throw new (answer.error === "TypeError" ? TypeError : Error)(answer.message);
      return decode(answer.value, id);
   }

   function method(owner, name) {
      return function () { return ask("call", owner, name, Array.prototype.slice.call(arguments)); };
   }

   function remote(id, target) {
      var handler = {
         get: function (_, name) { return typeof name === "symbol" ? undefined : ask("get", id, name, []); },
         set: function (_, name, value) { ask("set", id, name, [value]); return true; },
         has: function (_, name) { return ask("has", id, String(name), []); },
         ownKeys: function () { return ask("enumerate", id, "", []); },
         construct: function (_, values) { return ask("construct", id, "", Array.prototype.slice.call(values)); },
         deleteProperty: function () { throw new TypeError("cannot be deleted"); },
         defineProperty: function () { throw new TypeError("cannot be redefined"); }
      };
      var proxy = new Wrapper(target, handler);
      remotes.set(proxy, id);
      return proxy;
   }

   // Names of this JavaScript engine that PixInsight does not have.
   ["call_python", "dukpy", "process", "console", "require", "performance", "DOMException",
    "queueMicrotask", "_dukpy_cjs_source_compiles", "_dukpy_eval_cjs_source"]
      .forEach(function (name) { delete global[name]; });

   var world = ask("get", 0, "globals", []);
   ask("get", 0, "names", []).forEach(function (name, i) { global[name] = world[i]; });
   // In the old engine these methods are global functions.
   ask("get", 0, "functions", []).forEach(function (name) { global[name] = method(0, name); });
   if (ask("get", 0, "isLegacy", []))
      restrictToES5(global);

   // The old engine: keep only what ECMAScript 5 has.
   function restrictToES5(global) {
      keep(global, "Object Function Error EvalError RangeError ReferenceError SyntaxError TypeError "
         + "URIError Array parseInt parseFloat isNaN isFinite decodeURI decodeURIComponent encodeURI "
         + "encodeURIComponent escape unescape Infinity NaN undefined Number Boolean String Math eval "
         + "Date RegExp JSON " + ask("get", 0, "names", []).concat(ask("get", 0, "functions", [])).join(" "));
      keep(Object, "prototype length name getPrototypeOf getOwnPropertyDescriptor getOwnPropertyNames "
         + "create defineProperty defineProperties seal freeze preventExtensions isSealed isFrozen "
         + "isExtensible keys");
      keep(Array, "prototype length name isArray");
      keep(Array.prototype, "constructor length toString toLocaleString concat join pop push reverse "
         + "shift slice sort splice unshift indexOf lastIndexOf every some forEach map filter reduce "
         + "reduceRight");
      keep(String, "prototype length name fromCharCode");
      keep(String.prototype, "constructor length toString valueOf charAt charCodeAt concat indexOf "
         + "lastIndexOf localeCompare match replace search slice split substr substring toLowerCase "
         + "toLocaleLowerCase toUpperCase toLocaleUpperCase trim");
      keep(Number, "prototype length name MAX_VALUE MIN_VALUE NaN NEGATIVE_INFINITY POSITIVE_INFINITY");
      keep(Math, "E LN10 LN2 LOG10E LOG2E PI SQRT1_2 SQRT2 abs acos asin atan atan2 ceil cos exp floor "
         + "log max min pow random round sin sqrt tan");
   }

   function keep(object, names) {
      Object.getOwnPropertyNames(object).forEach(function (name) {
         // Constants such as Number.EPSILON stay: they cannot be deleted.
         if (names.split(" ").indexOf(name) < 0 && descriptor(object, name).configurable)
            delete object[name];
      });
   }
})(globalThis);
