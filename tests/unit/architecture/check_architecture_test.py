#!/usr/bin/env python3
"""The architecture check finds what it must find, in small trees made for it."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check_architecture  # noqa: E402


class CheckArchitectureTest(unittest.TestCase):
    def faults(self, files):
        with tempfile.TemporaryDirectory(prefix="strata-architecture.") as top:
            for path, text in files.items():
                full = os.path.join(top, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_architecture.check_tree(top)

    def test_allowed_edges_pass(self):
        self.assertEqual(self.faults({
            "imaged/a.cc": '#include <vector>\n#include "common/result.h"\n#include "imaged/b.h"\n',
            "tools/x/a.cc": '#include "imaged/api/imaged.grpc.pb.h"\n',
        }), [])

    def test_a_turned_arrow_is_found(self):
        for path, target in [("common/a.cc", "imaged/b.h"), ("imaged/a.h", "layerfs/root.h"),
                             ("net/a.cc", "imaged/b.h"), ("tools/x/a.cc", "imaged/store/b.h"),
                             ("migrate/a.cc", "layerfs/root.h"), ("layerfs/a.cc", "vclusterd/b.h"),
                             ("imaged/client/a.cc", "imaged/store/b.h"),
                             ("common/a.cc", "tests/b.h")]:
            found = self.faults({path: f'#pragma once\n#include "{target}"\n'})
            self.assertEqual(len(found), 1, (path, target, found))
            self.assertTrue(found[0].startswith(f"{path}:2: includes {target}"), found)

    def test_relative_and_unknown_includes_are_found(self):
        for target in ["../common/a.h", "a.h", "vendor/a.h"]:
            self.assertEqual(len(self.faults({"net/a.cc": f'#include "{target}"\n'})), 1, target)

    def test_forbidden_calls_are_found_in_code_but_not_in_comments_or_texts(self):
        for code in ['system("ls");', "popen(c, m);", "  std::system (c);", "throw Oops();",
                     "std::this_thread::sleep_for(x);", "// TODO: later", "strcpy(a, b);", "GTEST_SKIP();"]:
            self.assertEqual(len(self.faults({"net/a.cc": f"int x;\n{code}\n"})), 1, code)
        self.assertEqual(self.faults({"net/a.cc": '// system() is not for us\n'
                                                  'auto t = "popen(x)";\nint file_system(int);\n'
                                                  "auto r = R\"(system(1))\";\n"}), [])

    def test_long_files_and_lines_are_found(self):
        self.assertEqual(self.faults({"net/a.cc": "int x;\n" * 600}), [])
        self.assertEqual(len(self.faults({"net/a.cc": "int x;\n" * 601})), 1)
        self.assertEqual(len(self.faults({"net/a.cc": "// " + "x" * 118 + "\n"})), 1)

    def test_another_top_level_folder_is_found(self):
        self.assertEqual(len(self.faults({"misc/readme": "", "build/x/y": "", ".git/x": ""})), 1)

    def test_headers_need_pragma_once_and_a_name_with_a_meaning(self):
        self.assertEqual(len(self.faults({"net/a.h": "int x;\n"})), 1)
        self.assertEqual(len(self.faults({"net/utils.h": "#pragma once\n"})), 1)


if __name__ == "__main__":
    unittest.main()
