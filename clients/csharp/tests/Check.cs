// A runner of tests: every public method of the classes below that takes nothing.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

public static class Check
{
    public static string Server = "";

    public static int Main(string[] arguments)
    {
        Server = arguments.Length > 0 ? arguments[0] : "";
        List<Type> kinds = new List<Type> { typeof(PlaybackTests) };
        if (Server != "")
        {
            kinds = new List<Type> { typeof(SpeakerTests) };
        }
        int passed = 0;
        int failed = 0;
        foreach (MethodInfo method in kinds.SelectMany(kind => kind.GetMethods()))
        {
            if (method.DeclaringType == typeof(object) || method.GetParameters().Length > 0)
            {
                continue;
            }
            try
            {
                method.Invoke(Activator.CreateInstance(method.DeclaringType), null);
                passed++;
            }
            catch (TargetInvocationException error)
            {
                failed++;
                Console.WriteLine("FAILED " + method.Name + ": " + error.InnerException);
            }
        }
        Console.WriteLine(passed + " passed, " + failed + " failed");
        return failed == 0 && passed > 0 ? 0 : 1;
    }

    public static void That(bool holds, string what)
    {
        if (!holds)
        {
            throw new Exception(what);
        }
    }

    public static void Same<T>(T expected, T found)
    {
        That(Equals(expected, found), "expected " + expected + ", found " + found);
    }

    public static void SameItems<T>(IEnumerable<T> expected, IEnumerable<T> found)
    {
        string left = string.Join(" ", expected.Select(each => each.ToString()).ToArray());
        string right = string.Join(" ", found.Select(each => each.ToString()).ToArray());
        Same(left, right);
    }
}
